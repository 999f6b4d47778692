"""python -m hashdb."""

from hashdb.cli import main

if __name__ == "__main__":
    main()
