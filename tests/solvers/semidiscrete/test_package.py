"""The modules of the solver."""

import re
from pathlib import Path

from sklearn_ot.solvers import semidiscrete


def test_each_module_of_the_list_imports_only_modules_before_it():
    folder = Path(semidiscrete.__file__).parent
    listed = re.findall(r"``(_\w+)``", semidiscrete.__doc__)
    assert sorted(listed) == sorted(path.stem for path in folder.glob("_[a-z]*.py"))
    for place, name in enumerate(listed):
        imported = re.findall(r"sklearn_ot\.solvers\.semidiscrete\.(\w+) import", (folder / f"{name}.py").read_text())
        assert set(imported) <= set(listed[:place]), name
