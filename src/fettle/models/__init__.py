"""Any pre-trained network as a row of blocks; opened by what its folder says, not by a list."""
