"""`make bench`: one JSON line per figure; comparisons are ratios within one run, for machines differ."""
