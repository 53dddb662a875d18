"""python -m fettle: the same as the command."""

from fettle.cli import main

if __name__ == "__main__":
    main()
