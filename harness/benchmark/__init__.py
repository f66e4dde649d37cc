"""The benchmark: XTREME's and XTREME-R's tasks, and the readers, metrics and file formats they are made of.

Imports core only; a task and a training set are one file each.
"""
