"""The commands of `mumath-agent`, one a module: they parse what was typed, call the library and print."""
