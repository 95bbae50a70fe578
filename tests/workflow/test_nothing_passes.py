"""Runs in which no task is explained: a result like any other, with every table, every figure and a report that says why."""

import re

import contact_maps as maps
import pybigtools
import pytest
from builders import multiome, write_genes, write_h5mu
from running import succeed

from grids import tables
from grids.atlas import ATLAS_COLUMNS
from grids.simulate import simulate_multiome
