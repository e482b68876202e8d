"""What run.py runs: the four kinds of node, the cells of the matrix, the table."""
