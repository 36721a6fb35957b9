"""Adjacency: borders of outlines against hand-made maps and published pairs, and neighbours of points."""

from __future__ import annotations

import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, box

from territory_opt.errors import DataError
from territory_opt.geography.adjacency import adjacency_from_points, adjacency_from_polygons, delaunay_edges

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("TERRITORY_OPT_DATA", ROOT.parent / "shared" / "data")) / "us_counties"
KM_PER_DEGREE = 111.195


def units(**shapes: object) -> pd.DataFrame:
    return pd.DataFrame({"unit_id": list(shapes), "geometry": pd.Series(list(shapes.values()), dtype=object)})


def pairs(table: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(table.iloc[:, 0], table.iloc[:, 1], strict=True))


# --- polygons ---------------------------------------------------------------------------------------------


def test_squares_share_sides_not_corners() -> None:
    # c d
    # a b   e lies apart
    squares = units(b=box(1, 0, 2, 1), a=box(0, 0, 1, 1), d=box(1, 1, 2, 2), c=box(0, 1, 1, 2), e=box(5, 5, 6, 6))
    table = adjacency_from_polygons(squares)
    assert list(table.columns) == ["unit_a", "unit_b", "border_km"]
    assert list(zip(table["unit_a"], table["unit_b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    assert table["border_km"].to_numpy() == pytest.approx(KM_PER_DEGREE, rel=1e-3)


def test_a_border_with_a_corner_in_the_middle_counts_once_for_each_neighbour() -> None:
    third = 1 / 3  # the corner of b and c on the side of a is not a corner of a, and not exactly on it
    slanted = shapely.Polygon([(0, 0), (1, 0), (1.1, 0.7), (0, 0.7)])
    at = (1 + 0.1 * third, 0.7 * third)
    b = shapely.Polygon([(1, 0), (2, 0), (2, 0.2), at])
    c = shapely.Polygon([at, (2, 0.2), (2, 0.7), (1.1, 0.7)])
    table = adjacency_from_polygons(units(a=slanted, b=b, c=c)).set_index(["unit_a", "unit_b"])["border_km"]
    side = np.hypot(0.1, 0.7) * KM_PER_DEGREE
    assert table["a", "b"] == pytest.approx(side * third, rel=1e-3)
    assert table["a", "c"] == pytest.approx(side * 2 * third, rel=1e-3)
    assert ("b", "c") in table.index


def test_gaps_are_not_bridged_and_rounding_noise_is_none() -> None:
    assert adjacency_from_polygons(units(a=box(0, 0, 1, 1), b=box(1 + 1e-5, 0, 2, 1))).empty
    assert len(adjacency_from_polygons(units(a=box(0, 0, 1, 1), b=box(1 + 1e-12, 0, 2, 1)))) == 1


def test_a_city_inside_a_county_is_its_neighbour() -> None:
    hole = box(1, 1, 2, 2)
    table = adjacency_from_polygons(units(county=box(0, 0, 3, 3).difference(hole), city=hole))
    assert pairs(table) == {("city", "county")}
    assert table["border_km"].iloc[0] == pytest.approx(4 * KM_PER_DEGREE, rel=2e-3)


def test_islands_empty_outlines_and_odd_geometry_are_ordinary() -> None:
    odd = GeometryCollection([MultiPolygon([box(0, 0, 1, 1), box(7, 7, 8, 8)]), LineString([(0, 0), (9, 9)])])
    table = adjacency_from_polygons(
        units(odd=odd, east=box(1, 0, 2, 1), none=None, missing=float("nan"), void=shapely.Polygon(), dot=Point(1, 0.5))
    )
    assert pairs(table) == {("east", "odd")}
    assert adjacency_from_polygons(units(a=None)).empty
    assert adjacency_from_polygons(units()).empty


def test_borders_along_the_date_line_count() -> None:
    table = adjacency_from_polygons(units(far_east=box(179, 0, 180, 1), far_west=box(-180, 0, -179, 1)))
    assert pairs(table) == {("far_east", "far_west")}
    both = MultiPolygon([box(179, 0, 180, 1), box(-180, 0, -179, 1)])
    assert pairs(adjacency_from_polygons(units(both=both, next=box(178, 0, 179, 1)))) == {("both", "next")}


def test_a_geodataframe_in_metres_is_converted() -> None:
    frame = gpd.GeoDataFrame({"unit_id": ["a", "b"]}, geometry=[box(0, 0, 1, 1), box(1, 0, 2, 1)], crs=4326)
    table = adjacency_from_polygons(frame.to_crs(3857))
    assert table["border_km"].to_numpy() == pytest.approx([KM_PER_DEGREE], rel=1e-3)


def test_a_repeated_unit_is_an_error_with_its_row() -> None:
    twice = pd.DataFrame({"unit_id": ["a", "a"], "geometry": [box(0, 0, 1, 1), box(1, 0, 2, 1)]})
    with pytest.raises(DataError, match=r'units  row 3  unit_id  "a"  stands twice'):
        adjacency_from_polygons(twice)


@pytest.mark.skipif(not DATA.is_dir(), reason="county data not present: set TERRITORY_OPT_DATA to the data folder")
def test_counties_agree_with_the_published_pairs(record_property: pytest.RecordProperty) -> None:
    counties = pd.read_parquet(DATA / "us_counties_2014.parquet")
    frame = pd.DataFrame({"unit_id": counties["fips"], "geometry": shapely.from_wkb(counties["geometry"].to_numpy())})
    computed = adjacency_from_polygons(frame)
    listed = pd.read_csv(DATA / "us_county_adjacency.csv", dtype=str)
    published = {(min(a, b), max(a, b)) for a, b in zip(listed["fips_a"], listed["fips_b"], strict=True)}
    found = pairs(computed)
    islands = set(frame["unit_id"]) - set(computed["unit_a"]) - set(computed["unit_b"])
    record_property("computed pairs in the published list", f"{len(found & published)} of {len(found)}")
    record_property("published pairs computed", f"{len(found & published)} of {len(published)}")
    record_property("islands", len(islands))
    # The outlines are simplified (1:20m): short borders shrink to a corner, and the list has water borders.
    assert len(found & published) > 0.97 * len(found)
    assert len(found & published) > 0.93 * len(published)
    assert len(islands) < 15
    assert "15001" in islands  # Hawaii county


# --- points -----------------------------------------------------------------------------------------------


def grid(n: int, step: float = 0.1, lon0: float = 5.0) -> tuple[list[str], np.ndarray, np.ndarray]:
    row, column = np.divmod(np.arange(n * n), n)
    lon = (lon0 + step * column + 180) % 360 - 180
    return [f"{r}-{c}" for r, c in zip(row, column, strict=True)], step * row - step * (n - 1) / 2, lon


def sides_of_grid(n: int) -> set[tuple[str, str]]:
    right = {(f"{r}-{c}", f"{r}-{c + 1}") for r in range(n) for c in range(n - 1)}
    return right | {(f"{r}-{c}", f"{r + 1}-{c}") for r in range(n - 1) for c in range(n)}


@pytest.mark.parametrize("lon0", [5.0, 179.75, -97.0])
def test_a_grid_has_its_sides_and_one_diagonal_per_cell(lon0: float) -> None:
    """At 179.75 the grid lies across the date line: the same neighbours."""
    table = adjacency_from_points(*grid(6, lon0=lon0))
    sides = sides_of_grid(6)
    assert sides <= pairs(table)
    assert len(table) <= len(sides) + 25 + 4  # a diagonal per cell; the curved rim may add a few
    assert table["distance_km"].max() < 3 * 0.1 * KM_PER_DEGREE


def test_a_ring_around_the_pole_and_around_the_world() -> None:
    lon = np.arange(-180.0, 180.0, 30.0)
    names = [f"{k:02d}" for k in range(12)]
    ring = {(names[k], names[k + 1]) for k in range(11)} | {("00", "11")}
    assert ring <= pairs(adjacency_from_points(names, np.full(12, 80.0), lon))
    assert ring <= pairs(adjacency_from_points(names, np.zeros(12), lon))


def test_points_in_one_line_form_a_chain() -> None:
    table = adjacency_from_points(list("dbca"), [0, 0, 0, 0], [4.0, 2.0, 3.0, 1.0])
    assert pairs(table) == {("a", "b"), ("b", "c"), ("c", "d")}
    meridian = adjacency_from_points(list("abcd"), [50.0, 51.0, 52.0, 53.0], [7.0, 7.0, 7.0, 7.0])
    assert pairs(meridian) == {("a", "b"), ("b", "c"), ("c", "d")}


def test_few_points() -> None:
    assert adjacency_from_points([], [], []).empty
    assert adjacency_from_points(["a"], [1.0], [1.0]).empty
    assert pairs(adjacency_from_points(["b", "a"], [1.0, 2.0], [1.0, 1.0])) == {("a", "b")}
    assert len(adjacency_from_points(["b", "a", "c"], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0])) == 3


def test_points_at_one_place_form_a_chain_of_length_zero() -> None:
    table = adjacency_from_points(list("abcdz"), [0, 0, 0, 1.0, 0.5], [5, 5, 5, 5, 6])
    zero = table[table["distance_km"] == 0]
    assert pairs(zero) == {("a", "b"), ("b", "c")}
    assert pairs(table) - pairs(zero) == {("a", "d"), ("a", "z"), ("d", "z")}
    everywhere = adjacency_from_points(list("abc"), [3, 3, 3], [5, 5, 5])
    assert pairs(everywhere) == {("a", "b"), ("b", "c")}
    date_line = adjacency_from_points(["a", "b"], [3, 3], [180, -180])
    assert date_line["distance_km"].to_numpy() == pytest.approx([0.0], abs=1e-6)


def test_metre_scale_neighbours_are_found() -> None:
    names, lat, lon = grid(5, step=1e-5)
    assert sides_of_grid(5) <= pairs(adjacency_from_points(names, lat, lon))


def test_long_edges_go_and_a_lone_point_stays_joined() -> None:
    west, east = grid(5), grid(5, lon0=25.0)
    names = [f"w{n}" for n in west[0]] + [f"e{n}" for n in east[0]] + ["lone"]
    lat, lon = np.r_[west[1], east[1], 8.0], np.r_[west[2], east[2], 5.0]
    table = adjacency_from_points(names, lat, lon)
    first = {(a[0], b[0]) for a, b in pairs(table)}
    assert ("e", "w") not in first
    assert "l" in {letter for pair in first for letter in pair}
    assert len(adjacency_from_points(names, lat, lon, max_factor=1e9)) > len(table)


def test_every_point_without_a_place_is_named() -> None:
    with pytest.raises(DataError) as caught:
        adjacency_from_points(["a", "b", "c"], [1.0, np.nan, 95.0], [1.0, 1.0, 1.0])
    assert [issue.value for issue in caught.value.issues] == ["b", "c"]
    with pytest.raises(DataError, match="stands twice"):
        adjacency_from_points(["a", "a"], [1.0, 2.0], [1.0, 1.0])
    with pytest.raises(DataError, match="2 ids, 1 latitudes"):
        adjacency_from_points(["a", "b"], [1.0], [1.0, 2.0])


PLACES = st.lists(
    st.tuples(st.floats(-90, 90), st.floats(-180, 180))
    | st.tuples(st.integers(-3, 3), st.integers(-3, 3)).map(lambda at: (at[0] / 4, at[1] / 4)),
    max_size=25,
)


@given(places=PLACES, seed=st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_any_points_give_sorted_pairs_without_loops_in_any_order(places: list[tuple[float, float]], seed: int) -> None:
    lat = np.array([place[0] for place in places], dtype=float)
    lon = np.array([place[1] for place in places], dtype=float)
    names = [f"p{k:02d}" for k in range(len(places))]
    table = adjacency_from_points(names, lat, lon)
    assert (table["a"] < table["b"]).all()
    assert not table.duplicated(["a", "b"]).any()
    assert table.equals(table.sort_values(["a", "b"], ignore_index=True))
    if len(places) > 1:  # nobody is alone
        assert set(table["a"]) | set(table["b"]) == set(names)
    order = np.random.default_rng(seed).permutation(len(places))
    shuffled = adjacency_from_points([names[k] for k in order], lat[order], lon[order])
    pd.testing.assert_frame_equal(shuffled, table)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_pruning_only_removes_and_the_whole_mesh_is_connected(seed: int) -> None:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rng = np.random.default_rng(seed)
    lat, lon = rng.normal(45, 3, 60), rng.normal(179, 4, 60)
    lon = (lon + 180) % 360 - 180
    first, second, _ = delaunay_edges(lat, lon, max_factor=np.inf)
    kept = delaunay_edges(lat, lon)
    assert set(zip(kept[0], kept[1], strict=True)) <= set(zip(first, second, strict=True))
    mesh = coo_matrix((np.ones(len(first)), (first, second)), shape=(60, 60))
    assert connected_components(mesh)[0] == 1
    assert len(first) <= 3 * 60 - 6
