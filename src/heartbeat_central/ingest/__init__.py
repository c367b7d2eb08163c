"""The async edge: answers heartbeats itself, by group commit, and hands the rest to Flask."""
