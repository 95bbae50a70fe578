"""The synthetic benchmark: functions of binary features whose best set is known."""
