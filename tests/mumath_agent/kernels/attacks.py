"""All attacks, in the order of the list they were planned from. Rows 53 and 63 to 67 are tests of their own."""

from attack import Attack
from attacks_files import READS, WRITES
from attacks_network import NETWORK
from attacks_privileges import PRIVILEGES
from attacks_processes import PROCESSES
from attacks_resources import RESOURCES
from attacks_session import PERSISTENCE, PROTOCOL

ATTACKS: tuple[Attack, ...] = (
    *NETWORK,
    *READS,
    *WRITES,
    *PROCESSES,
    *PRIVILEGES,
    *RESOURCES,
    *PROTOCOL,
    *PERSISTENCE,
)
BY_NAME = {attack.name: attack for attack in ATTACKS}
assert len(BY_NAME) == len(ATTACKS), "two attacks of one name"
