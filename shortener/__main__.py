"""`python -m shortener` is the `shortener` command."""

from shortener.cli import main

if __name__ == "__main__":
    main()
