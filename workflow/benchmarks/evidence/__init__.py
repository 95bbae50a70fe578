"""Methods that rank the peaks of a gene, held against outside evidence on the same pairs."""
