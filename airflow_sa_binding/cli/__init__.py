"""The command line: arguments, read, call, print. Data goes to stdout, words to stderr."""
