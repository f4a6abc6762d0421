"""The subcommands of ``evals``: each adds its parser, and sets ``run`` to what returns a text and an exit code."""

from evals.commands.baselines import add_baselines
from evals.commands.compare import add_compare
from evals.commands.doctor import add_doctor
from evals.commands.plan import add_plan
from evals.commands.report import add_report
from evals.commands.store import add_store
from evals.commands.trend import add_trend

COMMANDS = (add_plan, add_baselines, add_compare, add_doctor, add_report, add_trend, add_store)

__all__ = ["COMMANDS"]
