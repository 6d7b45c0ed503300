"""The tree of errors."""

import pytest

from tinygrad_mlp import errors
from tinygrad_mlp.errors import TinygradMLPError

BUILTINS = {
    errors.ShapeError: ValueError,
    errors.GradientError: RuntimeError,
    errors.MissingVJPError: TypeError,
    errors.NumericsError: FloatingPointError,
    errors.RenderError: RuntimeError,
    errors.DataError: ValueError,
}


@pytest.mark.parametrize(("error", "builtin"), BUILTINS.items())
def test_an_error_is_one_of_ours_and_the_builtin_one_would_expect(error, builtin):
    with pytest.raises(TinygradMLPError, match="what to do"):
        raise error("what to do")
    with pytest.raises(builtin, match="what to do"):
        raise error("what to do")


def test_the_tree_is_complete_and_drawn_in_the_docstring():
    assert set(errors.__all__) == {e.__name__ for e in (TinygradMLPError, *BUILTINS)}
    assert {e for e in vars(errors).values() if isinstance(e, type)} == {
        TinygradMLPError,
        *BUILTINS,
    }
    for error, builtin in BUILTINS.items():
        line = next(line for line in errors.__doc__.splitlines() if error.__name__ in line)
        assert f"(also a {builtin.__name__})" in line
