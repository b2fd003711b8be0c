"""What runs on the other side: in the fork server and in the kernels it forks, never in the agent's own process.

    guardian   starts the server and clears up after it and the agent
    server     forks kernels out of a process that has everything imported
    kernel     a Jupyter kernel in one thread: takes requests, runs cells, answers
    shell      IPython as a cell finds it: streams, errors, figures
    zmtp       ZeroMQ's wire format, so that Jupyter clients can connect (also used by our own client)
    confine    the order in which a kernel gives up its rights, for good
    namespaces landlock seccomp linux       how Linux takes them away

Nothing here imports the rest of the package: a kernel has no use for it, and hostile code must not find it.
"""
