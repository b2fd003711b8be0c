"""List the tasks by name. Sizes are those of the papers; a revision is a commit that is known to hold the set.

The sets of ToRA and MuMath-Code (GSM8K, MATH, GSM-Hard, SVAMP, ASDiv, MAWPS, TabMWP) are read in their form, so that
numbers compare. No set is part of this repository: licences differ, and some forbid it.
"""

from benchmarks.tasks import rows
from benchmarks.tasks.rules import BARE_LIST, FIRST_BOX
from benchmarks.tasks.task import GitHub, Hub, Part, Task
from mumath_agent.errors import InputError

_MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)
_MAA = "Mathematical Association of America, maa.org/student-programs/amc"


def get_task(name: str) -> Task:
    """Return the task of that name; "gsm-hard" is gsm_hard.

    Raises:
        InputError: there is no such task.
    """
    task = TASKS.get(name.replace("-", "_").lower())
    if task is None:
        raise InputError(f"there is no task {name!r}; there are {', '.join(TASKS)}")
    return task


def _hub(
    name: str,
    repository: str,
    revision: str,
    *,
    split: str = "test",
    configs: tuple[str | None, ...] = (None,),
    files: tuple[str, ...] = (),
) -> tuple[Part]:
    remote = Hub(repository=repository, revision=revision, split=split, configs=configs)
    return (Part(name=name, remote=remote, files=files),)


def _mawps(name: str, title: str, problems: int, *parts: str) -> Task:
    return Task(
        name=name,
        title=title,
        paper="Koncel-Kedziorski et al. 2016, aclanthology.org/N16-1136",
        licence="none stated upstream",
        problems=problems,
        parts=tuple(_mawps_part(part) for part in parts or (name,)),
        read=rows.mawps,
    )


def _mawps_part(name: str) -> Part:
    # The copies on which the papers agree lie in ToRA's repository; no commit of it is known for sure to hold them.
    remote = GitHub(repository="microsoft/ToRA", revision=None, path=f"src/data/mawps/{name}.jsonl")
    return Part(name=name, remote=remote, files=(f"mawps/{name}.jsonl",))


def _mathcoder(name: str) -> tuple[Part]:
    file = f"{name}_test_post.jsonl"
    remote = GitHub(
        repository="mathllm/MathCoder",
        revision="77b46cd80399b488c8432c4cb6d645369749f7b5",
        path=f"data/{file}",
    )
    return (Part(name=name, remote=remote, files=(file,)),)


_ALL = (
    Task(
        name="gsm8k",
        title="GSM8K test",
        paper="Cobbe et al. 2021, arxiv.org/abs/2110.14168",
        licence="MIT",
        problems=1319,
        parts=_hub("gsm8k", "openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", configs=("main",)),
        read=rows.gsm8k,
    ),
    Task(
        name="math",
        title="MATH test",
        paper="Hendrycks et al. 2021, arxiv.org/abs/2103.03874",
        licence="MIT",
        problems=5000,
        parts=_hub(
            "math",
            "EleutherAI/hendrycks_math",
            "21a5633873b6a120296cce3e2df9d5550074f4a3",
            configs=_MATH_SUBJECTS,
        ),
        read=rows.math,
    ),
    Task(
        name="math500",
        title="MATH-500, a sample of MATH test",
        paper="Lightman et al. 2023, arxiv.org/abs/2305.20050",
        licence="MIT",
        problems=500,
        parts=_hub(
            "math500",
            "HuggingFaceH4/MATH-500",
            "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
            files=("math/math500.jsonl",),
        ),
        read=rows.math,
    ),
    Task(
        name="gsm_hard",
        title="GSM-Hard: GSM8K test with large numbers",
        paper="Gao et al. 2022 (PAL), arxiv.org/abs/2211.10435",
        licence="MIT",
        problems=1319,
        parts=_hub(
            "gsm_hard",
            "reasoning-machines/gsm-hard",
            "960448f73503112d4226baeb8eb41d3fb5ae2506",
            split="train",
            files=("gsm-hard/test.jsonl", "gsmhardv2.jsonl"),
        ),
        read=rows.gsm_hard,
    ),
    Task(
        name="svamp",
        title="SVAMP, all of it",
        paper="Patel et al. 2021, aclanthology.org/2021.naacl-main.168",
        licence="MIT",
        problems=1000,
        parts=_hub("svamp", "ChilleD/SVAMP", "5e0bf1e5e7c0e9c4bc39180d224f41f3f801b7ef", split="train+test"),
        read=rows.svamp,
    ),
    Task(
        name="asdiv",
        title="ASDiv without the problems that have several answers",
        paper="Miao et al. 2020, aclanthology.org/2020.acl-main.92",
        licence="CC BY-NC 4.0",
        problems=2215,
        parts=_hub(
            "asdiv",
            "EleutherAI/asdiv",
            "8f95807222d87b4c688c3c22a6ba2801e1fa03e2",
            split="validation",
            configs=("asdiv",),
        ),
        read=rows.asdiv,
    ),
    _mawps("mawps", "MAWPS: its four parts together", 2065, "addsub", "singleop", "singleeq", "multiarith"),
    _mawps("addsub", "AddSub of MAWPS", 395),
    _mawps("singleop", "SingleOp of MAWPS", 562),
    _mawps("singleeq", "SingleEq of MAWPS", 508),
    _mawps("multiarith", "MultiArith of MAWPS", 600),
    Task(
        name="tabmwp",
        title="TabMWP test1k: problems on tables",
        paper="Lu et al. 2023 (PromptPG), arxiv.org/abs/2209.14610",
        licence="CC BY-NC-SA 4.0",
        problems=1000,
        parts=(
            Part(
                name="tabmwp",
                remote=GitHub(
                    repository="lupantech/PromptPG",
                    revision="5a1a52214521590b075f545b76a4f5ce666345e3",
                    path="data/tabmwp/problems_test1k.json",
                ),
                files=("tabmwp/problems_test1k.json", "problems_test1k.json"),
            ),
        ),
        read=rows.tabmwp,
    ),
    Task(
        name="mathematics",
        title="DeepMind's Mathematics, MathCoder's sample",
        paper="Saxton et al. 2019, arxiv.org/abs/1904.01557; Wang et al. 2023, arxiv.org/abs/2310.03731",
        licence="Apache-2.0",
        problems=1000,
        parts=_mathcoder("mathematics"),
        read=rows.mathematics,
        rule=BARE_LIST,
    ),
    Task(
        name="simuleq",
        title="SimulEq: systems of equations, MathCoder's copy",
        paper="Koncel-Kedziorski et al. 2016, aclanthology.org/N16-1136; Wang et al. 2023, arxiv.org/abs/2310.03731",
        licence="Apache-2.0 (the copy)",
        problems=514,
        parts=_mathcoder("simuleq"),
        read=rows.simuleq,
        rule=FIRST_BOX,
    ),
    Task(
        name="aime24",
        title="AIME 2024, I and II",
        paper=_MAA,
        licence="© MAA",
        problems=30,
        parts=_hub(
            "aime24", "HuggingFaceH4/aime_2024", "2fe88a2f1091d5048c0f36abc874fb997b3dd99a", split="train"
        ),
        read=rows.contest,
    ),
    Task(
        name="aime25",
        title="AIME 2025, I and II",
        paper=_MAA,
        licence="© MAA",
        problems=30,
        parts=_hub("aime25", "math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b"),
        read=rows.contest,
    ),
    Task(
        name="amc23",
        title="AMC 12 2023, reworded to ask for an integer",
        paper=_MAA,
        licence="© MAA",
        problems=40,
        parts=_hub("amc23", "math-ai/amc23", "80815d37005feb82cd7f8fbc6901d5d3eff43057"),
        read=rows.contest,
    ),
    Task(
        name="olympiadbench",
        title="OlympiadBench: open-ended English mathematics without pictures",
        paper="He et al. 2024, arxiv.org/abs/2402.14008",
        licence="Apache-2.0",
        problems=674,
        parts=_hub(
            "olympiadbench",
            "Hothan/OlympiadBench",
            "91184b52131e7fc9455fef848035173aea8cc01a",
            split="train",
            configs=("OE_TO_maths_en_COMP",),
            files=("OE_TO_maths_en_COMP.json",),
        ),
        read=rows.olympiadbench,
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in _ALL}
