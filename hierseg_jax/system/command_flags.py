"""A command's own flags, apart from those of the other commands and of the libraries."""

from collections.abc import Callable
from typing import Any

from absl import flags

flags.disclaim_key_flags()  # they belong to the modules that define them


def _of_command(define: Callable[..., Any]) -> Callable[..., Any]:
    def defined(own_flags: flags.FlagValues, *given: Any, **named: Any) -> Any:
        return define(*given, flag_values=own_flags, **named)

    return defined


class CommandFlags(flags.FlagValues):
    """Its methods are absl's functions: `FLAGS.string(...)` is `flags.DEFINE_string(...)`."""

    alias = _of_command(flags.DEFINE_alias)
    bool = _of_command(flags.DEFINE_bool)
    enum = _of_command(flags.DEFINE_enum)
    float = _of_command(flags.DEFINE_float)
    integer = _of_command(flags.DEFINE_integer)
    list = _of_command(flags.DEFINE_list)
    multi_string = _of_command(flags.DEFINE_multi_string)
    string = _of_command(flags.DEFINE_string)
