"""Losses: functions of logits and labels, listed in `catalog`."""
