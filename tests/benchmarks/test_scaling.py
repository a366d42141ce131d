"""Memory of a fit and a map of a large file."""

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("script", ["scaling"], indirect=True)
def test_a_large_file_stays_on_disk(script):
    # 10⁷ rows with 64 columns, 2.4 GiB; the same again for the images.
    cell = script.file("GaussianTransport", 10_000_000, 0, False)
    assert cell["peak_mib"] < 2048
    assert cell["rows_read"] == 2**25 // 64
