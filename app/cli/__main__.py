"""`python -m app.cli`, where there is no console script: in images, and in a checkout without one."""

from app.cli.main import main

if __name__ == "__main__":
    main()
