"""The learning rate as a pure function of how far the run is."""

import math

from frugalseg.training.recipe import Schedule

START = 1 / 25
END = 1e-4


def rate(schedule: Schedule, progress: float) -> float:
    """Return the factor of the peak learning rate at `progress` in [0, 1].

    "onecycle" rises to 1 and falls along half cosines (Smith and Topin 2018, arXiv 1708.07120);
    "poly" rises linearly and falls as (1 - p)^power (Chen et al. 2018, arXiv 1606.00915).

    >>> rate(Schedule(warmup=0.1), 0.1)
    1.0
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < schedule.warmup:
        rise = progress / schedule.warmup
        if schedule.name == "poly":
            return START + (1 - START) * rise
        return START + (1 - START) * (1 - math.cos(math.pi * rise)) / 2
    fall = (progress - schedule.warmup) / (1 - schedule.warmup)
    if schedule.name == "poly":
        return max(END, float((1 - fall) ** schedule.power))
    return END + (1 - END) * (1 + math.cos(math.pi * fall)) / 2
