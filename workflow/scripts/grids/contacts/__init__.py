"""Contacts of set members with the gene's TSS in a Hi-C map, and the TADs they lie in."""
