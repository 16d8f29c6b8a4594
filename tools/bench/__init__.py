"""`make bench`: one JSON line per figure. Comparisons are ratios within one run, because machines differ."""
