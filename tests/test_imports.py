"""What a measured case imports, and that the short cuts of an import change nothing that is imported."""

import subprocess
import sys
from pathlib import Path

from touchstone.seams import LIBRARIES

# Stacks of sound and images, and other frameworks: nothing here needs them.
NEEDLESS = ("torchvision", "torchaudio", "librosa", "PIL", "tensorflow", "jax", "IPython")
SUITE = """
models = ["minilm"]
[tasks]
include = ["BIOSSES"]
[source]
kind = "mirror"
path = "{mirror}"
"""


def run_python(code: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_measured_case_imports_no_sound_and_no_images(mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE.format(mirror=mirror))
    said = run_python(
        "import sys, pytest\n"
        "code = pytest.main(sys.argv[1:])\n"
        f"print('imported:', [name for name in {NEEDLESS} if name in sys.modules], 'mteb' in sys.modules, int(code))\n",
        tmp_path, "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "touchstone.plugin",
        "--pyargs", "touchstone", "--suite", "suite.toml", "--store", "store",
    )  # fmt: skip
    assert "imported: [] True 0" in said


def test_transformers_has_the_same_models_however_it_is_imported(tmp_path: Path) -> None:
    code = """
import sys
if sys.argv[1] == "here":
    from touchstone.seams import import_libraries
    import_libraries()
else:
    import mteb, sentence_transformers
from transformers import models
print(sorted(dir(models)))
"""
    here, plain = (run_python(code, tmp_path, side) for side in ("here", "plain"))
    assert here == plain
    assert "'bert'" in here


def test_where_the_short_cut_is_gone_the_import_is_the_plain_one(tmp_path: Path) -> None:
    code = (
        "import transformers.utils.import_utils as u\n"
        "u.define_import_structure = u.define_import_structure.__wrapped__\n"
        "import gc\n"
        "from touchstone.seams import import_libraries\n"
        "import_libraries('torch', 'transformers.models', 'sentence_transformers')\n"
        "assert gc.isenabled()\n"
        "from transformers import BertModel\n"
        "print(BertModel.__name__)\n"
    )
    assert run_python(code, tmp_path) == "BertModel\n"


def test_a_library_that_is_not_there_is_told_by_whoever_needs_it(tmp_path: Path) -> None:
    code = "from touchstone.seams import import_libraries\nimport_libraries('no_such_library')\nprint('on')\n"
    assert run_python(code, tmp_path) == "on\n"
    assert LIBRARIES[-1] == "mteb"


def test_stacks_are_written_down_again_once_all_is_imported(tmp_path: Path) -> None:
    code = (
        "import traceback\nstacks = traceback.format_stack\n"
        "from touchstone.seams import import_libraries\nimport_libraries()\n"
        "print(traceback.format_stack is stacks)\n"
    )
    assert run_python(code, tmp_path).split() == ["True"]
