"""The bench in parts.

works    what is measured, and what it has to reach
systems  who is measured: how each is set up in namespaces of the bench's own, and ended
measure  one run of one work on one system: figures and CPU time
rounds   works x systems, alternating; medians, spread, ratios: the results, as they are in --json
extras   the tables beside it: a flood of SYNs, the relay, instructions by callgrind, stacks on threads
tables   results as text
page     results as docs/performance.md
"""
