open('canary', 'w').close()
