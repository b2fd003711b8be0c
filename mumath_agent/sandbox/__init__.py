"""Run the fork server and the kernels it forks, never anything in the agent's own process.

    guardian          starts the fork server, and clears up after it and the agent
    forkserver        imports what programs need, once; `forkserver_loop` then forks a kernel per request
    kernel            a Jupyter kernel in one thread: takes requests, runs cells, answers
    shell, streams    IPython as a cell finds it: output, errors, figures
    branch            copies a live kernel; `supervisor` permits the system calls that takes
    confine           the order in which a kernel gives up its rights, for good
    namespaces, landlock, seccomp, linux       how Linux takes them away
    spec, messages, zmtp                       what is said to and by a kernel; our own client uses them, too

Nothing here imports the rest of the package: a kernel has no use for it, and hostile code must not find it.
"""
