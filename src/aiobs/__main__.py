"""``python -m aiobs``: the command line without its script."""

from aiobs.cli import main

if __name__ == "__main__":
    main()
