"""Arguments that name vectors and their place: NAME=PLACE and options."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hfaef.errors import InputError
from hfaef.evaluation.features import read_features
from hfaef.evaluation.features.argument import OPTIONS, parse_argument
from hfaef.evaluation.pooling import POOLINGS
from hfaef.evaluation.rows import Rows

COUNT = 40
IDS = tuple(f"P{number:03d}" for number in range(COUNT))
LABELS = np.arange(COUNT) % 4
ROWS = Rows(IDS, LABELS, np.full(COUNT, 2018), {"north_south": ("train",) * COUNT})


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("x", "not NAME=PLACE"),
        ("x=", "not NAME=PLACE"),
        ("mean=x.parquet", "'mean' is a pooling's name"),
        ("a b=x.parquet", "a name has 1 to 60 letters .*, digits, `_`, `.` and `-`"),
        ("x=gone.parquet", "gone.parquet is not there"),
        ("x=lost/gone.npz", "lost/gone.npz is not there"),
        ("x=../gone", "../gone is not there"),
        ("x=v.parquet,scales=2", "there is no option scales="),
        ("x=v.parquet,scale=2,scale=3", "scale= is there twice"),
        ("x=v.parquet,scale=", "scale= says nothing"),
        ("x=a,b.parquet", "a,b.parquet is not there"),
    ],
)
def test_features_must_be_a_name_and_a_place(argument, message):
    with pytest.raises(InputError, match=message):
        read_features(argument, ROWS)


@given(
    st.from_regex(r"[A-Za-z0-9_.-]{1,60}", fullmatch=True).filter(lambda one: one not in POOLINGS),
    st.text("ab/.,= ö", min_size=1, max_size=40).filter(lambda place: not Path(place).exists()),
    st.dictionaries(
        st.sampled_from(OPTIONS), st.text(st.characters(exclude_characters=","), min_size=1)
    ),
)
def test_an_argument_is_taken_apart_as_it_was_put_together(name, place, options):
    assume(not re.search(r",[a-z_]+=[^,]*$", place))
    text = ",".join([f"{name}={place}", *(f"{key}={value}" for key, value in options.items())])
    found = parse_argument(text)
    assert (found.name, found.place, found.options) == (name, place, options)


@given(st.text())
@example("/" * 10 + "a" * 5000)
@example("\0")
def test_any_text_is_a_place_or_refused(text):
    try:
        found = parse_argument(f"mine={text}")
    except InputError:
        return
    assert set(found.options) <= set(OPTIONS)
