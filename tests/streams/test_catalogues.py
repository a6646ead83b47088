"""Which catalogue counts a pane, as far as it is declared."""

import msgspec
import pytest

from schemas.catalogue import Catalogue, load
from schemas.declared import Catalogues, Declared
from schemas.errors import ContractError
from streams.catalogues import InForce

PANE_MS = 10_000
FIRST = load()
SECOND = msgspec.structs.replace(FIRST, metric=FIRST.metric[1:], alarm=[])
OTHER = Catalogue(metric=FIRST.metric[:1])


def in_force(settings, *known):
    out = InForce(settings, PANE_MS)
    out.learn(Catalogues(known))
    return out


def test_before_the_first_declaration_the_settings_say_what_counts():
    one = in_force(FIRST)
    assert FIRST is one.at(PANE_MS) is one.at(10**13)
    assert one.change(FIRST, PANE_MS) is None


def test_a_first_declaration_of_another_catalogue_is_refused_whenever_it_comes():
    one = in_force(FIRST)
    with pytest.raises(ContractError, match="catalogue apply"):
        one.learn(Catalogues([Declared(0, OTHER)]))


def test_a_change_counts_from_the_first_pane_that_is_wholly_its_own():
    one = in_force(FIRST, Declared(0, FIRST), Declared(50_001, SECOND))
    assert [FIRST.hash, SECOND.hash] == [one.at(pane).hash for pane in (50_000, 60_000)]
    assert (60_000, SECOND.hash) == _told(one.change(FIRST, 50_000))
    assert one.change(one.at(60_000), 60_000) is None


def test_who_could_change_only_after_the_pane_changes_at_once():
    one = in_force(SECOND, Declared(0, FIRST), Declared(50_000, SECOND))
    assert (70_000, SECOND.hash) == _told(one.change(FIRST, 70_000))


def test_a_catalogue_that_comes_back_is_the_one_that_it_was():
    one = in_force(
        FIRST, Declared(0, FIRST), Declared(50_000, SECOND), Declared(90_000, msgspec.structs.replace(FIRST))
    )
    assert one.at(10_000) is one.at(90_000) is FIRST
    assert one.change(FIRST, 90_000) is None
    assert (50_000, SECOND.hash) == _told(one.change(FIRST, 20_000))


def test_the_file_of_the_settings_says_what_a_hash_leaves_out():
    titled = msgspec.structs.replace(FIRST, metric=[msgspec.structs.replace(one, title="new") for one in FIRST.metric])
    assert titled is in_force(titled, Declared(0, FIRST)).at(PANE_MS)


def _told(change):
    return change.from_pane, change.catalogue.hash
