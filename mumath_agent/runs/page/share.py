"""Write a solution as one HTML file to share: it loads nothing and lets nobody in."""

from html import escape
from string import Template

from mumath_agent.json_form import to_json
from mumath_agent.runs.page import asset, island, policy
from mumath_agent.runs.page.formulas import formulas
from mumath_agent.runs.page.turns import turn_views
from mumath_agent.runs.wording import answer_line, cautions, solution_line, votes_line
from mumath_agent.solutions import Solution

_TITLE_CHARS = 60


def shared_page(solution: Solution, *, question: str | None = None) -> str:
    """Return the page; `question` is what is shown, where the model was told more than that."""
    asked = question or solution.problem.question
    style = asset("share.css") + asset("transcript.css")
    scripts = (asset("katex/katex.min.js"), asset("transcript.js") + asset("share.js"))
    return Template(asset("share.html")).substitute(
        title=escape(" ".join(asked.split())[:_TITLE_CHARS]),
        policy=escape(policy(style, *scripts)),
        style=style,
        katex=scripts[0],
        script=scripts[1],
        data=island(_data(solution, asked)),
    )


def _data(solution: Solution, question: str) -> dict[str, object]:
    best = solution.best
    return {
        "question": question,
        "question_runs": formulas(question),
        "answer": solution.answer,
        "line": solution_line(solution),
        "votes": votes_line(solution) if solution.how.number > 1 else "",
        "caution": cautions(solution),
        "best": best.sample if best else None,
        "made_by": f"Model {best.settings.model}, isolation {best.isolation}, mumath-agent {best.version}"
        if best
        else "",
        "attempts": [
            {
                "sample": record.sample,
                "line": answer_line(record.trajectory),
                "turns": [to_json(turn) for turn in turn_views(record)],
            }
            for record in solution.attempts
        ],
    }
