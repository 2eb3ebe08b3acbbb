"""``python -m reseen``: the command line."""

from reseen.cli.main import main

main()
