"""`python -m frugalseg`: the command line."""

from frugalseg.cli.main import main

if __name__ == "__main__":
    main()
