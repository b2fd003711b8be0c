"""Draw the people of a story: first names of many cultures, titles, relatives, and their pronouns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

_MALE = """
    Aaron Adam Ahmed Akira Alan Albert Alejandro Ali Amir Andre Andrew Anthony Antonio Arjun Arthur Ben
    Bill Bob Boris Brian Caleb Carl Carlos Chen Connor Daniel Dave David Deepak Dennis Diego Dmitri
    Dylan Edward Eli Emeka Emil Eric Ethan Evan Felix Fernando Frank Fred Gary George Giovanni Greg
    Hamza Hans Harry Hassan Henry Hiroshi Hugo Ian Ibrahim Isaac Ivan Jack Jacob Jake Jamal James Jason
    Javier Jeff Jerry Jim Joe John Jonas Jose Joseph Joshua Juan Justin Karim Keith Kenji Kevin Kofi
    Kwame Kyle Larry Leo Levi Liam Logan Louis Luca Lucas Luis Luke Mahmoud Marco Mark Martin Mateo
    Matthew Max Mehmet Michael Miguel Mike Mohamed Nathan Nick Nikhil Noah Oliver Omar Oscar Owen Pablo
    Patrick Paul Pedro Peter Philip Rahul Raj Ravi Raymond Ricardo Richard Rob Robert Roger Ron Rohan
    Ryan Sam Samir Samuel Scott Sean Sergei Simon Stefan Stephen Steve Tariq Terry Thomas Tim Tobias
    Todd Tom Tony Tyler Victor Vikram Walter Wei William Yusuf Zach Zane
"""
MALE = tuple(_MALE.split())
_FEMALE = """
    Abby Abigail Adriana Aisha Alice Alicia Alina Amanda Amara Amber Amelia Amina Amy Ana Andrea Angela
    Anika Anita Ann Anna Ava Beatriz Beth Bianca Carla Carmen Carol Caroline Cathy Chiara Chloe Claire
    Clara Cynthia Daisy Dana Daniela Diana Diya Donna Elena Elif Elise Elizabeth Ella Ellen Emily Emma
    Erica Esther Eva Fatima Faye Fiona Freya Gabriela Gina Gloria Grace Greta Gwen Hana Hannah Heather
    Heidi Helen Ida Ines Ingrid Irene Isabel Ivy Jane Janet Jasmine Jenna Jennifer Jenny Jessica Jill
    Joan Joyce Judy Julia Julie Kate Kavya Keiko Kelly Kim Laila Lara Laura Layla Lena Leila Lily Linda
    Lisa Lola Lucia Lucy Luna Maria Marie Mary Maya Megan Mei Melissa Mia Michelle Mina Miriam Molly
    Nadia Nancy Naomi Natalie Nia Nina Nora Olga Olivia Paige Pam Paula Penny Priya Rachel Rebecca Rita
    Rosa Rose Ruth Sakura Sally Samira Sandra Sara Sarah Selma Shreya Simone Sofia Sonia Sophie Stella
    Sue Susan Tamara Tanya Tara Teresa Tina Uma Valeria Vanessa Vera Victoria Wanda Wendy Yara Yasmin
    Ying Yuki Zainab Zara Zoe
"""
FEMALE = tuple(_FEMALE.split())
_TITLED = {
    "m": (
        "Mr. Lopez",
        "Mr. Okafor",
        "Mr. Baker",
        "Mr. Singh",
        "Mr. Tanaka",
        "Grandpa",
        "Uncle Joe",
        "Uncle Ravi",
    ),
    "f": (
        "Mrs. Hill",
        "Ms. Chen",
        "Mrs. Garcia",
        "Ms. Novak",
        "Mrs. Ali",
        "Grandma",
        "Aunt Rosa",
        "Aunt Mei",
    ),
}
_RELATIONS = {
    "m": ("brother", "friend", "cousin", "father", "dad", "uncle", "neighbor", "classmate", "grandfather"),
    "f": ("sister", "friend", "cousin", "mother", "mom", "aunt", "neighbor", "classmate", "grandmother"),
}
KEYS = "ABCD"
"""The people that a template may name."""
PRONOUNS: Mapping[str, Mapping[str, str]] = {
    "m": {"he": "he", "him": "him", "his": "his", "himself": "himself", "hisown": "his"},
    "f": {"he": "she", "him": "her", "his": "her", "himself": "herself", "hisown": "hers"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person in a story; `kind` is `name`, `role` (a baker) or `relation` (his sister)."""

    name: str
    gender: str
    kind: str = "name"


def cast(rng: Random, keys: Sequence[str], roles: Sequence[str]) -> dict[str, Person]:
    """Draw distinct people for `keys`; A may be one of `roles`, B a relative or friend of A."""
    people: dict[str, Person] = {}
    taken: set[str] = set()
    for key in keys:
        gender = "m" if rng.random() < 0.5 else "f"
        person = _draw(rng, key, gender, roles)
        while person.name in taken:
            person = _named(rng, gender)
        taken.add(person.name)
        people[key] = person
    return people


def _draw(rng: Random, key: str, gender: str, roles: Sequence[str]) -> Person:
    chance = rng.random()
    if key == "A" and roles and chance < 0.5:
        return Person(name=rng.choice(roles), gender=gender, kind="role")
    if key == "B" and chance < 0.25:
        return Person(name=rng.choice(_RELATIONS[gender]), gender=gender, kind="relation")
    if key == "A" and chance > 0.96:
        return Person(name=rng.choice(_TITLED[gender]), gender=gender)
    return _named(rng, gender)


def _named(rng: Random, gender: str) -> Person:
    return Person(name=rng.choice(MALE if gender == "m" else FEMALE), gender=gender)
