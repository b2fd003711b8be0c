"""Python imports this when it starts, in every program that a test starts: the test's marks hold there, too."""

import needs

needs.install()
