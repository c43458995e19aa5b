"""A goal that is reached in several rounds, each with a training behind it."""

from collections.abc import Callable
from dataclasses import replace

from frugalseg.compress.catalog import Plan
from frugalseg.trace import record
from frugalseg.training.checkpoint import find_checkpoint
from frugalseg.training.fine_tuning import shorter
from frugalseg.workflows.compress_steps import LAST, Job
from frugalseg.workflows.train import train_on

# Below the folder of a compression: the last one, that before a factorisation, those of rounds.
TRAININGS = ("run", "press", "round*/run")


def do_rounds(job: Job, announce: Callable[[Plan], None] = lambda plan: None) -> Job:
    """Do all rounds of a compression but the last, and return the job of that.

    The limits come nearer by the same ratio each time, and the rounds share the training evenly,
    with the network as it was as teacher. A round is kept in a folder of its own, `round1`, ...;
    called again, what was cut off goes on.
    Raises what `Job.plan` does, before anything is written for limits that one round would not
    reach.
    """
    rounds, goal = job.wish.rounds, job.goal
    if rounds == 1:
        return job
    job.new_plan(keep=False)
    whole = record(job.kept.network(), job.kept.input)
    job = replace(job, recipe=shorter(job.recipe, 1 / rounds))
    for number in range(1, rounds):
        folder = job.folder / f"round{number}"
        step = replace(job, goal=goal.toward(whole, number / rounds), folder=folder)
        plan = step.plan(keep=True)
        announce(plan)
        step.write(plan)
        out = folder / "run"
        recipe, resume = step.smaller(plan), (out / LAST).exists()
        run = train_on(job.dataset, job.report, recipe, out, resume, job.progress, job.stop)
        job = replace(job, kept=run.checkpoint, path=find_checkpoint(out))
    return job
