"""How an experiment is made: a workspace of its own, a run, a commit; and the processes that do so."""
