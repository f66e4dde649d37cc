"""`torchrun -m harness.cli train ...` starts several processes so."""

from harness.cli import main

main()
