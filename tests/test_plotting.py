"""The displays: their artists show the right data, and no global state changes."""

import runpy
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_ot.base import BaseTransport
from sklearn_ot.plotting import (
    CellsDisplay,
    CertificateDisplay,
    CopyingDisplay,
    CriticDisplay,
    GeneratorDisplay,
    HistoryDisplay,
    TransportDisplay,
)
from sklearn_ot.representation import GenerativePipeline
from sklearn_ot.transport import GaussianTransport

plt = pytest.importorskip("matplotlib.pyplot")


class Shift(BaseTransport):
    """Moves the mean of the source to that of the target."""

    _parameter_constraints = {}  # noqa: RUF012 (scikit-learn's protocol)

    def _fit(self, source, target, rng):
        self.shift_ = target.rows.mean(axis=0) - source.rows.mean(axis=0)

    def _transform(self, X):
        return X + self.shift_


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def make_samples(n_features, n_source=60, n_target=90):
    rng = np.random.default_rng(0)
    Xs = rng.normal(size=(n_source, n_features))
    return Xs, 2 * rng.normal(size=(n_target, n_features)) + 5 * np.arange(1, n_features + 1)


def arrow_ends(display):
    """Tails and heads of the arrows, in the units of the data."""
    arrows = display.arrows_
    assert (arrows.angles, arrows.scale_units, arrows.scale) == ("xy", "xy", 1)
    return arrows.XY, arrows.XY + np.c_[arrows.U, arrows.V]


def test_plane_shows_the_points_and_their_displacements():
    Xs, Xt = make_samples(2)
    transport = Shift().fit(Xs, Xt)
    display = TransportDisplay.from_estimator(transport, Xs, Xt, n_arrows=7)
    assert_allclose(display.source_.get_offsets(), Xs)
    assert_allclose(display.target_.get_offsets(), Xt)
    assert_allclose(display.transported_.get_offsets(), transport.transform(Xs))
    tails, heads = arrow_ends(display)
    assert len(tails) == 7
    assert all((tail == Xs).all(axis=1).any() for tail in tails)
    assert_allclose(heads, transport.transform(tails))
    assert display.ax_.get_aspect() == 1
    assert display.figure_ is display.ax_.figure
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["source", "target", "transported"]


def test_more_than_two_features_are_projected_on_the_axes_of_both_samples():
    Xs, Xt = make_samples(5)
    transport = Shift().fit(Xs, Xt)
    display = TransportDisplay.from_estimator(transport, Xs, Xt, subsample=10, random_state=0)
    pca = PCA(2).fit(np.vstack([Xs, Xt]))
    # The sign of each axis depends on the solver of PCA.
    drawn, projected = np.asarray(display.source_.get_offsets()), pca.transform(Xs)
    errors = np.abs(np.abs(drawn[:, None]) - np.abs(projected[None])).max(axis=2)
    assert_allclose(errors.min(axis=1), 0, atol=1e-9)
    tails, heads = arrow_ends(display)
    assert_allclose(np.abs(heads - tails), np.tile(np.abs(pca.components_ @ transport.shift_), (len(tails), 1)))
    for label, share in zip((display.xlabel, display.ylabel), pca.explained_variance_ratio_, strict=True):
        assert f"{100 * share:.0f} %" in label


def test_one_feature_is_drawn_as_histograms():
    Xs, Xt = make_samples(1)
    transport = Shift().fit(Xs, Xt)
    display = TransportDisplay.from_estimator(transport, Xs, Xt, n_arrows=1000)
    for artist, points in [
        (display.source_, Xs),
        (display.target_, Xt),
        (display.transported_, transport.transform(Xs)),
    ]:
        values, edges, baseline = artist.get_data()
        mass = np.abs(values - baseline)
        assert_allclose(mass / mass.sum(), np.histogram(points, edges)[0] / len(points))
    tails, heads = arrow_ends(display)
    assert_allclose(tails, np.c_[Xs, np.zeros(len(Xs))])
    assert_allclose(heads, np.c_[transport.transform(Xs), np.ones(len(Xs))])


def test_subsample_draws_rows_reproducibly_and_does_not_change_the_global_state():
    Xs, Xt = make_samples(2)
    transport = Shift().fit(Xs, Xt)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 (the test is about the global state)

    def offsets(random_state):
        display = TransportDisplay.from_estimator(transport, Xs, Xt, subsample=20, random_state=random_state)
        return np.asarray(display.source_.get_offsets()), np.asarray(display.target_.get_offsets())

    source, target = offsets(0)
    assert len(np.unique(source, axis=0)) == len(np.unique(target, axis=0)) == 20
    assert all((row == Xs).all(axis=1).any() for row in source)
    assert all((row == Xt).all(axis=1).any() for row in target)
    assert_allclose(source, offsets(0)[0])
    # Two draws of 20 rows out of 60 agree with probability 1 / binom(60, 20) < 1e-15.
    assert not np.array_equal(source, offsets(None)[0])
    assert_allclose(np.random.get_state()[1], state)  # noqa: NPY002


def test_subsample_none_draws_every_row():
    Xs, Xt = make_samples(2, n_source=700, n_target=800)
    display = TransportDisplay.from_estimator(Shift().fit(Xs, Xt), Xs, Xt, subsample=None)
    assert (len(display.source_.get_offsets()), len(display.target_.get_offsets())) == (700, 800)


def test_target_of_fit_is_the_default():
    Xs, Xt = make_samples(2)
    transport = Shift().fit(Xs, Xt)
    display = TransportDisplay.from_estimator(transport, Xs)
    assert_allclose(display.target_.get_offsets(), transport.target_reference_)


def test_the_axes_and_styles_of_the_caller_are_used():
    Xs, Xt = make_samples(2)
    figure, axes = plt.subplots(1, 2)
    display = TransportDisplay.from_estimator(
        Shift().fit(Xs, Xt), Xs, Xt, ax=axes[1], xlabel="u", scatter_kwargs={"s": 3}, arrow_kwargs={"alpha": 0.25}
    )
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert (axes[1].get_xlabel(), axes[1].get_ylabel()) == ("u", "x1")
    assert display.transported_.get_sizes() == [3]
    assert display.arrows_.get_alpha() == 0.25
    assert display.plot(n_arrows=0).ax_ is not axes[1]
    assert display.arrows_.N == 0


def test_data_frames_name_the_axes():
    pd = pytest.importorskip("pandas")
    Xs, Xt = (pd.DataFrame(X, columns=["length", "width"]) for X in make_samples(2))
    transport = Shift().fit(Xs, Xt).set_output(transform="pandas")
    display = TransportDisplay.from_estimator(transport, Xs, Xt, subsample=5)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("length", "width")
    tails, heads = arrow_ends(display)
    assert_allclose(heads - tails, np.tile(transport.shift_, (5, 1)))


def test_pipeline_is_drawn_in_the_features_of_its_last_step():
    Xs, Xt = make_samples(2)
    scaler = StandardScaler().fit(Xs)
    pipeline = make_pipeline(StandardScaler(), Shift()).fit(Xs, scaler.transform(Xt))
    display = TransportDisplay.from_estimator(pipeline, Xs, Xt)
    assert_allclose(display.source_.get_offsets(), scaler.transform(Xs))
    assert_allclose(display.target_.get_offsets(), scaler.transform(Xt))
    assert_allclose(display.transported_.get_offsets(), pipeline.transform(Xs))
    alone = make_pipeline(Shift()).fit(Xs, Xt)
    assert_allclose(TransportDisplay.from_estimator(alone, Xs, Xt).source_.get_offsets(), Xs)


def test_errors_name_the_unusable_argument():
    Xs, Xt = make_samples(2)
    transport = Shift().fit(Xs, Xt)
    draw = TransportDisplay.from_estimator
    with pytest.raises(NotFittedError):
        draw(Shift(), Xs, Xt)
    with pytest.raises(TypeError, match="got object, which has no method transform"):
        draw(object(), Xs, Xt)
    with pytest.raises(ValueError, match="X has 2 features, X_target 3"):
        draw(transport, Xs, np.ones((4, 3)))
    with pytest.raises(ValueError, match="X_target contains NaN"):
        draw(transport, Xs, np.full((4, 2), np.nan))
    with pytest.raises(ValueError, match="keeps no target rows"):
        draw(StandardScaler().fit(Xs), Xs)
    with pytest.raises(ValueError, match="n_arrows == -1"):
        draw(transport, Xs, Xt, n_arrows=-1)
    with pytest.raises(ValueError, match="subsample == 0"):
        draw(transport, Xs, Xt, subsample=0)
    with pytest.raises(ValueError, match=r"source has shape \(4, 3\)"):
        TransportDisplay(np.ones((4, 3)), np.ones((4, 3)), np.ones((4, 3))).plot()


def test_matplotlib_is_needed_only_to_draw(monkeypatch):
    # As on a machine without matplotlib. The module is run again, so that an import at its top would fail here.
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    display_class = runpy.run_path(sys.modules[TransportDisplay.__module__].__file__)["TransportDisplay"]
    point = [[0.0, 0.0]]
    with pytest.raises(ImportError, match=r"TransportDisplay\.plot requires matplotlib"):
        display_class(point, point, point).plot()
    Xs, Xt = make_samples(2)
    with pytest.raises(ImportError, match=r"TransportDisplay\.from_estimator requires matplotlib"):
        display_class.from_estimator(Shift().fit(Xs, Xt), Xs, Xt)


class Voronoi(BaseEstimator):
    """In the place of a fitted SemiDiscreteTransport: sends each row to the nearest point."""

    n_features_in_ = 2

    def __init__(self, points):
        self.points = points
        self.points_ = np.asarray(points, dtype=float)

    def fit(self, X):
        return self

    def assign(self, X):
        return ((np.asarray(X)[:, None] - self.points_) ** 2).sum(2).argmin(1)


def test_cells_have_the_colours_of_their_points():
    points = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    display = CellsDisplay.from_estimator(Voronoi(points), resolution=40)
    # The half-width is 0.55 times the largest extent, around the middle of each axis.
    assert display.ax_.get_xlim() == pytest.approx((-0.2, 4.2))
    assert display.ax_.get_ylim() == pytest.approx((-0.2, 4.2))
    pixels = display.cells_.get_array()
    # The first point is at the lower left of the image, the second at the lower right, the third at the upper left.
    assert [display.index[row, column] for row, column in ((0, 0), (0, -1), (-1, 0))] == [0, 1, 2]
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 3
    np.testing.assert_array_equal(display.points_.get_offsets(), points)


def test_cells_boundaries_lie_between_the_cells():
    display = CellsDisplay.from_estimator(Voronoi([[0.0, 0.0], [4.0, 0.0]]), resolution=101)
    segments = np.array(display.boundaries_.get_segments())
    # The cells meet at x = 2; a boundary is drawn between two pixels.
    assert len(segments) == 101
    np.testing.assert_allclose(segments[:, :, 0], 2, atol=4.4 / 101)


def test_cells_picture_contains_the_rows_and_has_the_names():
    fitted = Voronoi([[0.0, 0.0], [1.0, 1.0]])
    fitted.feature_names_in_ = np.array(["a", "b"], dtype=object)
    _, ax = plt.subplots()
    display = CellsDisplay.from_estimator(fitted, [[-3.0, 0.0], [5.0, 1.0]], resolution=10, ax=ax, cmap="twilight")
    assert display.ax_ is ax
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    assert ax.get_xlim()[0] < -3
    assert ax.get_xlim()[1] > 5


def test_errors_of_the_cells_display():
    with pytest.raises(TypeError, match="no method assign"):
        CellsDisplay.from_estimator(Shift())
    fitted = Voronoi([[0.0, 0.0]])
    fitted.n_features_in_ = 3
    with pytest.raises(ValueError, match="3 features"):
        CellsDisplay.from_estimator(fitted)
    with pytest.raises(ValueError, match="X has 3 columns"):
        CellsDisplay.from_estimator(Voronoi([[0.0, 0.0]]), np.ones((4, 3)))


@pytest.mark.parametrize(("point", "half"), [([0.0, 0.0], 1.0), ([3e-9, -4e-9], 4e-9)])
def test_cells_picture_of_one_row_has_an_extent(point, half):
    for X in (None, [point]):
        display = CellsDisplay.from_estimator(Voronoi([point]), X, resolution=10)
        np.testing.assert_allclose(display.ax_.get_xlim(), (point[0] - half, point[0] + half))


class Draws(BaseEstimator):
    """A generator and a critic in closed form."""

    def __init__(self, n_features):
        self.n_features = n_features
        self.n_features_in_ = n_features

    def sample(self, n_samples=1, random_state=None, y=0.0):
        rng = random_state if hasattr(random_state, "rand") else np.random.RandomState(random_state)
        return rng.rand(n_samples, self.n_features_in_) + y

    def critic_function(self, X, y=0.0):
        return X[:, 0] + 10 * X[:, 1] + y

    def fit(self, X):
        return self


def test_samples_lie_on_the_data():
    generator, X = Draws(2), np.random.RandomState(1).rand(20, 2)
    display = GeneratorDisplay.from_estimator(generator, X, n_samples=30, y=2.0, random_state=0)
    assert_allclose(display.samples_.get_offsets(), generator.sample(30, random_state=0, y=2.0))
    assert_allclose(display.data_.get_offsets(), X)
    assert display.ax_.get_xlabel() == "x0"
    assert GeneratorDisplay.from_estimator(generator).data_ is None


def test_samples_of_many_features_are_projected_like_the_data():
    generator, X = Draws(5), np.random.RandomState(1).rand(20, 5)
    display = GeneratorDisplay.from_estimator(generator, X, random_state=0)
    pca = PCA(2, random_state=0).fit(X)
    assert_allclose(display.samples_.get_offsets(), pca.transform(generator.sample(1000, random_state=0)))
    assert_allclose(display.data_.get_offsets(), pca.transform(X))
    assert display.ax_.get_ylabel().startswith("PC 2")


@pytest.mark.parametrize("colours", [(), (3,)])
def test_a_grid_of_images(colours):
    shape = (4, 5, *colours)
    generator = Draws(int(np.prod(shape)))
    display = GeneratorDisplay.from_estimator(generator, n_samples=7, image_shape=shape, random_state=0, n_columns=3)
    grid = display.samples_.get_array()
    assert grid.shape == (3 * 5 - 1, 3 * 6 - 1, *colours)
    images = generator.sample(7, random_state=0).reshape(7, *shape)
    for place, image in enumerate(images):
        top, left = 5 * (place // 3), 6 * (place % 3)
        assert_allclose(grid[top : top + 4, left : left + 5], image)
    assert_allclose(grid[4], images.max())  # the line between two rows of images


def test_images_of_a_pipeline():
    images = np.random.RandomState(0).rand(50, 16)
    steps = [("pca", PCA(3)), ("mixture", GaussianMixture(random_state=0))]
    pipeline = GenerativePipeline(steps).set_output(transform="pandas").fit(images)
    display = GeneratorDisplay.from_estimator(pipeline, n_samples=4, image_shape=(4, 4), random_state=0)
    first = display.samples_.get_array()[:4, :4]
    assert_allclose(first, pipeline.sample(4, random_state=0).to_numpy()[0].reshape(4, 4))
    assert GeneratorDisplay.from_estimator(pipeline, images, random_state=0).ax_.get_xlabel().startswith("PC 1")


def test_the_surface_of_a_critic():
    X = np.random.RandomState(1).rand(500, 2)
    display = CriticDisplay.from_estimator(Draws(2), X, y=3.0, n_samples=40, resolution=11, random_state=0)
    assert_allclose(display.values, display.xx0 + 10 * display.xx1 + 3)
    assert len(display.data_.get_offsets()) == len(display.samples_.get_offsets()) == 40
    assert display.xx0.min() < X[:, 0].min()
    assert display.xx0.max() > 3 + 0.9  # the samples of this class
    assert {tuple(row) for row in np.asarray(display.data_.get_offsets())} <= {tuple(row) for row in X}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: GeneratorDisplay.from_estimator(Shift()), TypeError, "got Shift, which has no method sample"),
        (lambda: GeneratorDisplay.from_estimator(Draws(1)), ValueError, "draw a histogram"),
        (
            lambda: GeneratorDisplay.from_estimator(Draws(6), image_shape=(2, 2)),
            ValueError,
            r"not an image of shape \(2, 2\)",
        ),
        (
            lambda: CriticDisplay.from_estimator(Shift(), [[0, 0]]),
            TypeError,
            "Shift, which has no method critic_func",
        ),
        (lambda: CriticDisplay.from_estimator(Draws(3), [[0, 0]]), ValueError, "there are 3 features"),
    ],
)
def test_errors_of_the_displays_of_a_generator(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_colours_beyond_0_to_1_are_scaled():
    images = np.random.RandomState(0).uniform(100, 150, (4, 2, 2, 3))
    grid = np.asarray(GeneratorDisplay(images).plot().samples_.get_array())
    assert_allclose((grid.min(), grid.max()), (0, 1))
    assert_allclose(grid[:2, :2] * np.ptp(images) + images.min(), images[0])
    # A single colour has a range of 0, by which the image must not be divided.
    assert_allclose(GeneratorDisplay(np.full((2, 2, 2, 3), 7.0)).plot().samples_.get_array(), 0)


@pytest.mark.parametrize(
    ("history", "names", "curves"),
    [
        ([{"n_iter": 100, "score": -2.0, "dur": 1.0}, {"n_iter": 200, "score": -1.0}], None, {"score": [-2, -1]}),
        ([{"n_iter": 0, "distance": 3.0}, {"n_iter": 1, "distance": 1.0}], None, {"distance": [3, 1]}),
        (
            [{"n_iter": 5, "train_loss": 4.0}, {"n_iter": 9, "train_loss": 2.0, "valid_loss": 1.0}],
            ["train_loss", "valid_loss"],
            {"train_loss": [4, 2], "valid_loss": [np.nan, 1]},
        ),
    ],
)
def test_curves_of_a_history(history, names, curves):
    estimator = Shift().fit(*make_samples(2))
    estimator.history_ = history
    display = HistoryDisplay.from_estimator(estimator, names, linewidth=3)
    assert [line.get_label() for line in display.lines_] == list(curves)
    for line, values in zip(display.lines_, curves.values(), strict=True):
        assert_allclose(line.get_xdata(), [row["n_iter"] for row in history])
        assert_allclose(line.get_ydata(), values)
        assert line.get_linewidth() == 3


def test_an_estimator_without_history_is_refused():
    estimator = Shift().fit(*make_samples(2))
    with pytest.raises(ValueError, match="Shift has no history_: its fit trained no network"):
        HistoryDisplay.from_estimator(estimator)
    estimator.history_ = [{"n_iter": 1, "dur": 0.0}]
    with pytest.raises(ValueError, match="no 'score'; it has n_iter, dur"):
        HistoryDisplay.from_estimator(estimator)
    estimator.history_ = [{"n_iter": 1, "score": 0.0}]
    with pytest.raises(ValueError, match="no 'loss'; it has n_iter, score"):
        HistoryDisplay.from_estimator(estimator, "loss")


class Recall(BaseEstimator):
    """A generator that returns training rows, moved by a step."""

    def __init__(self, step=0.0):
        self.step = step

    def fit(self, X, y=None):
        self.X_ = X
        return self

    def sample(self, n_samples=1, random_state=None):
        return self.X_[np.random.RandomState(random_state).randint(len(self.X_), size=n_samples)] + self.step


def test_the_curves_of_copies_and_of_held_out_rows():
    training, held_out = np.random.RandomState(0).standard_normal((2, 80, 3))
    display = CopyingDisplay.from_estimator(
        Recall(1e-3).fit(training), training, held_out, n_samples=50, random_state=1
    )
    for curve, distances in (
        (display.samples_, display.copying.distances),
        (display.held_out_, display.copying.held_out_distances),
    ):
        values, edges, _ = curve.get_data()
        # The share of the distances that are at most as large as the middle of each step; equal ones have no step.
        steps, middles = np.diff(edges) > 0, (edges[1:] + edges[:-1]) / 2
        assert_allclose(values[steps], np.mean(distances[:, None] <= middles[steps], axis=0))
    low, high = display.copied_.get_ydata()
    assert low - high == pytest.approx(display.copying.copied)
    assert display.copied_.get_label() == "largest excess: 100 %"
    assert display.ax_.get_title() == "nearer than a held-out row: 100 %"


def test_the_largest_excess_is_where_the_curves_are_farthest_apart():
    training, held_out, fresh = np.random.RandomState(0).standard_normal((3, 60, 2))
    display = CopyingDisplay.from_samples(np.vstack([training[:30], fresh[:30] + 9]), training, held_out)
    assert_allclose(display.copied_.get_xdata(), 0)
    assert_allclose(display.copied_.get_ydata(), [0.5, 0])
    # A row far away does not squeeze the curves.
    wide = display.ax_.get_xlim()
    fresh[0] = 1e6
    assert CopyingDisplay.from_samples(fresh, training, held_out).ax_.get_xlim()[1] < wide[1]


def test_copies_are_drawn_of_generators_only():
    with pytest.raises(TypeError, match="draws a fitted generator, got StandardScaler"):
        CopyingDisplay.from_estimator(StandardScaler(), [[0.0]], [[1.0]])


def test_a_certificate_is_drawn():
    rng = np.random.default_rng(0)
    transport = GaussianTransport().fit(rng.normal(size=(300, 2)), 2 * rng.normal(size=(300, 2)) + 1)
    samples = rng.normal(size=(200, 2)), 2 * rng.normal(size=(200, 2)) + 1
    ax = plt.subplots()[1]
    display = CertificateDisplay.from_estimator(transport, *samples, ax=ax, confidence=0.9, bar_kwargs={"color": "red"})
    assert display.ax_ is ax
    certificate = transport.certificate(*samples, confidence=0.9)
    lengths = ["distance", "map_error", "cautious_error", "push_forward", "image_distance"]
    assert [label.get_text() for label in ax.get_yticklabels()] == [certificate[name].label for name in lengths]
    bars = {bar.get_ydata()[0]: bar.get_xdata() for bar in display.bars_}
    for place, name in enumerate(lengths):
        statement = certificate[name]
        if statement.high is None:
            assert place not in bars
        else:
            assert_allclose(bars[place], [statement.low or 0, statement.high])
    estimates = [certificate[name].estimate for name in lengths if certificate[name].estimate is not None]
    assert_allclose(display.estimates_.get_xdata(), estimates)
    assert_allclose(display.spread_.get_xdata(), certificate["spread"].estimate)
    assert {bar.get_color() for bar in display.bars_} == {"red"}
    assert "90 %" in ax.get_title()
    with pytest.raises(TypeError, match="has no method certificate"):
        CertificateDisplay.from_estimator(Shift().fit(*samples), *samples)
