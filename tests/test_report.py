"""The report: right figures, planner words, inert names, the same bytes, and a page that works in a real browser."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

import territory_opt as to
from territory_opt.geography.palette import rep_colours
from territory_opt.optimize.result import Relaxation, Result, Status
from territory_opt.plan.audit import Violation
from territory_opt.report.outline import View, base_map
from territory_opt.report.page import MAX_DOTS, inert_json, page_data, render_page, write_page
from territory_opt.report.views import Views, build_views
from territory_opt.report.workbook import write_workbook

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
SHEETS = ["Summary", "Reps", "Accounts", "Quotas", "Roll-up", "Violations", "Data issues", "Run"]
EVIL = {
    "A01": '=HYPERLINK("http://evil.example","x")',
    "A02": "+cmd|' /C calc'!A0",
    "A03": "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>",
    "A04": "@SUM(1+1)",
    "A05": "-2+3",
    "A10": "http://evil.example/{{ 7 * 7 }}\u2028<!--",
}
EVIL_REP = "<img src=x onerror=\"document.title='owned'\">"
ISSUES = [to.Issue("warning", "accounts.csv", 5, "name", "=1+1", "looks odd", "look at it")]
RUN = {"Seed": "0", "Version": "0.1.0"}


@pytest.fixture(scope="module")
def result() -> Result:
    return to.solve(to.load_scenario(TOY).problem(), time_limit=5)


@pytest.fixture(scope="module")
def views(result: Result) -> Views:
    return build_views(result, name="Toy", issues=ISSUES, run=RUN)


@pytest.fixture(scope="module")
def evil() -> Views:
    problem = to.load_scenario(TOY).problem()
    accounts = problem.accounts.assign(
        name=[EVIL.get(a, n) for a, n in problem.accounts[["account_id", "name"]].values]
    )
    reps = problem.reps.assign(name=[EVIL_REP, *problem.reps["name"][1:]])
    found = to.solve(dataclasses.replace(problem, accounts=accounts, reps=reps), time_limit=5)
    return build_views(found, name="<b>" + EVIL_REP, issues=ISSUES, run={"=1+1": "=2+2"})


def dump_dom(path: Path, profile: Path, anchor: str = "") -> str:
    """Open a page in headless Chromium and return the document after its scripts ran."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on PATH: the page cannot be opened in a real browser here")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", "--window-size=1400,1000"]  # fmt: skip
    call = [browser, *flags, f"--user-data-dir={profile}", "--dump-dom", path.as_uri() + anchor]
    return subprocess.run(call, capture_output=True, timeout=120, check=True).stdout.decode("utf-8")


def test_headline_says_what_changed_and_how_good_it_is(views: Views) -> None:
    """The three sentences hold the toy's known figures, in planner words."""
    moves, quotas, proof, slack = views.sentences
    assert moves.startswith("1 of 12 accounts moves ($200 of sales, $20 at risk).")
    assert "33–167 % of a fair share to 100 %" in moves
    assert "Quotas total $1,200 for a target of $1,200" in quotas
    assert proof.startswith("No plan under these rules is worth more than $0.99 above this one (verified)")
    assert slack.startswith("Where the slack sits: $")
    assert [card.label for card in views.cards][-1] == "Room for a better plan"
    assert "verified" in views.cards[-1].note
    assert views.cards[1].note == "equal to the target"


def test_tables_hold_the_toys_figures(views: Views) -> None:
    """Shares, moves, growth and reasons agree with the toy's README."""
    reps = views.reps.set_index("rep_id")
    assert reps["before: potential"].round(3).tolist() == [1.667, 1.0, 1.0, 0.333]
    assert reps["after: potential"].tolist() == [1.0] * 4
    assert (reps.at["R4", "moved_in"], reps.at["R1", "moved_out"]) == (1, 1)
    assert reps.at["R1", "manager"] == "Nora"
    assert reps.at["R1", "growth"] == pytest.approx(reps.at["R1", "annual_quota"] / 500 - 1)
    assert reps["odds"].between(0, 1).all()
    accounts = views.accounts.set_index("account_id")
    assert accounts.index[0] == "A10", "the account that moves comes first"
    assert accounts.loc["A10", ["old_rep", "new_rep", "change"]].tolist() == ["Ada", "Dan", "moves"]
    assert accounts.at["A10", "reason"] == "Ada was over by 67 % of potential; Dan was under by 67 % of potential"
    assert "locked to Cleo: Contract names Cleo" in accounts.at["A07", "reason"]
    assert accounts.at["A01", "reason"].startswith("stays: nearest home")
    assert views.quotas["annual"].sum() == 1200
    assert views.parts["difference"].iloc[-1] == pytest.approx(views.parts["difference"].iloc[:-1].sum())


def test_accounts_without_rep_and_barred_incumbents_are_explained() -> None:
    """A new account, an incumbent who lacks the skill and a family are named as the reason."""
    problem = to.load_scenario(TOY).problem()
    incumbent = problem.accounts["incumbent"].where(problem.accounts["account_id"] != "A06", "")
    language = problem.accounts["language"].where(problem.accounts["account_id"] != "A12", "es")
    changed = dataclasses.replace(problem, accounts=problem.accounts.assign(incumbent=incumbent, language=language))
    found = to.solve(changed, time_limit=5)
    accounts = build_views(found, name="x", issues=[], run={}).accounts.set_index("account_id")
    assert accounts.loc["A06", ["old_rep", "change"]].tolist() == ["nobody", "new"]
    assert accounts.at["A06", "reason"].startswith("had no rep")
    assert accounts.at["A12", "reason"].startswith("Dan: lacks the required language")


def test_a_plan_without_quotas_has_a_report(tmp_path: Path) -> None:
    """Without a target, quota parts are left out and nothing fails."""
    problem = to.load_scenario(TOY).problem()
    policy = problem.policy.model_copy(update={"quotas": problem.policy.quotas.model_copy(update={"target": None})})
    found = to.solve(dataclasses.replace(problem, policy=policy), time_limit=5)
    views = build_views(found, name="No quotas", issues=[], run={})
    assert len(views.sentences) == 2
    assert not views.has_quotas
    assert "Quota against expected sales" not in render_page(views)
    write_workbook(views, tmp_path / "plan.xlsx")
    book = openpyxl.load_workbook(tmp_path / "plan.xlsx")
    assert book.sheetnames == SHEETS
    assert book["Quotas"]["A2"].value == "This plan sets no quotas."


def test_broken_rules_come_first(result: Result, tmp_path: Path) -> None:
    """A least bad plan says so, lists what breaks and what would help, in both outputs."""
    broken = Violation("balance: potential", "Ada (R1)", 340.0, "potential", 1000.0, 660.0, 0.5, "within 10 %")
    bad = dataclasses.replace(
        result, status=Status.INFEASIBLE, violations=(broken,), least_violation=0.5,
        relaxations=(Relaxation("widen Ada's band to 167 %", True),),
    )  # fmt: skip
    views = build_views(bad, name="Bad", issues=[], run={})
    assert views.sentences[-1].startswith("This is the least bad plan: it breaks 1 hard rule (it is proven")
    page = render_page(views)
    assert "What the plan breaks" in page
    assert "widen Ada&#39;s band to 167 %" in page
    write_workbook(views, tmp_path / "bad.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "bad.xlsx")["Violations"]
    assert sheet["A2"].value == str(broken)
    assert "widen Ada's band to 167 %" in [cell.value for cell in sheet["A"]]


def test_workbook_holds_the_tables(views: Views, tmp_path: Path) -> None:
    """All sheets are there, with frozen headers, filters, units and numbers as numbers."""
    write_workbook(views, tmp_path / "plan.xlsx")
    book = openpyxl.load_workbook(tmp_path / "plan.xlsx")
    assert book.sheetnames == SHEETS
    assert book["Summary"]["A1"].value == "Toy"
    assert book["Summary"]["A3"].value == views.sentences[0]
    reps = book["Reps"]
    titles = [cell.value for cell in reps[1]]
    assert reps.freeze_panes == "B2"
    assert reps.auto_filter.ref == f"A1:{reps.cell(5, len(titles)).coordinate}"
    assert "Quota (USD per year)" in titles
    after = titles.index("Potential in this plan, of a fair share")
    assert [reps.cell(row, after + 1).value for row in range(2, 6)] == [1, 1, 1, 1]
    assert reps.cell(2, after + 1).number_format == "0%"
    quotas = book["Quotas"]
    assert sum(row[3].value for row in quotas.iter_rows(min_row=2)) == 1200
    assert book["Violations"]["A2"].value == "The plan keeps every hard rule."
    assert book["Data issues"]["F2"].value == "looks odd"
    assert book["Accounts"].max_row == 13


def test_names_in_the_workbook_are_text(evil: Views, tmp_path: Path) -> None:
    """No name becomes a formula or a link."""
    write_workbook(evil, tmp_path / "plan.xlsx")
    book = openpyxl.load_workbook(tmp_path / "plan.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    assert all(cell.hyperlink is None for cell in cells)
    assert set(EVIL.values()) <= {cell.value for cell in cells}
    assert book["Run"]["B2"].value == "=2+2"


def test_the_same_views_give_the_same_bytes(result: Result, tmp_path: Path) -> None:
    """Two reports of one result agree byte by byte."""
    for name in ("a", "b"):
        views = build_views(result, name="Toy", issues=ISSUES, run=RUN)
        write_workbook(views, tmp_path / f"{name}.xlsx")
        write_page(views, tmp_path / f"{name}.html")
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_page_asks_nobody_for_anything(views: Views) -> None:
    """No address, no source, no style sheet, no inline handler; everything but own style and script is forbidden."""
    page = render_page(views)
    assert "http:" not in page.replace("http-equiv", "")
    assert "https:" not in page
    assert not re.search(r"<(link|img|iframe|object|embed|base)\b|\ssrc=|\sstyle=|\son\w+=|url\(|@import", page)
    assert "default-src &#39;none&#39;" in page
    assert "unsafe" not in page


def test_the_page_reads_without_script(views: Views) -> None:
    """Summary, charts and the table of reps are in the markup itself."""
    page = render_page(views)
    body = page[: page.index('<script type="application/json"')]
    for text in (*(rep for rep in views.reps["name"]), "1 of 12 accounts moves", "<noscript>", "Travel, km per year"):
        assert text in body
    assert body.count("<svg viewBox") == 3


def test_json_in_the_page_is_inert() -> None:
    """Nothing in the data can end its script element."""
    text = inert_json({"name": "</script><!--&\u2028\u2029"})
    assert not set("<>&\u2028\u2029") & set(text)
    assert "\\u003c/script\\u003e" in text


def test_the_page_works_in_a_browser(views: Views, tmp_path: Path) -> None:
    """The script runs under the page's own policy: map status, legend and the chosen rep's accounts appear."""
    write_page(views, tmp_path / "report.html")
    document = dump_dom(tmp_path / "report.html", tmp_path / "profile", "#rep=R4")
    assert 'class="scripted"' in document
    assert "12 accounts, 4 reps" in document
    book = document[document.index('<aside id="book">') : document.index("</aside>")]
    assert "<h3>Dan</h3>" in book
    assert "3 accounts in this plan: 1 come, 0 go" in book
    assert "Ada → Dan" in book
    assert re.search(r'<canvas[^>]* width="\d{3,}"', document), "the map was drawn"


def test_evil_names_do_nothing_in_a_browser(evil: Views, tmp_path: Path) -> None:
    """Markup in names is shown as text: no element appears and the title stays."""
    write_page(evil, tmp_path / "report.html")
    document = dump_dom(tmp_path / "report.html", tmp_path / "profile", "#rep=R1")
    title = re.search(r"<title>(.*?)</title>", document)
    assert title is not None
    assert title[1].startswith("&lt;b&gt;&lt;img")
    visible = re.sub(r"<script\b.*?</script>", "", document, flags=re.DOTALL)
    assert "<img" not in visible
    assert "12 accounts, 4 reps" in document
    assert "&lt;/script&gt;&lt;img" in document[document.index('<aside id="book">') :]
    assert "{{ 7 * 7 }}" in document


FROM_THE_RIGHT = {
    "A01": "\u05d0\u05d1\u05d2\u05d3",
    "A02": "\u0645\u062d\u0645\u062f 7 \u0639\u0644\u064a",
    "A03": "12 \u05d0\u05d1",
    "A04": "Acme \u202e34 evil",
    "A05": "Birch \u2067\u05d0 56",
    "A06": "\u202b\u05d0\u05d1 (R9) 99 %",
    "A07": "\u2066\u2069\u2069\u202e8",
}
"""Names of accounts: Hebrew, Arabic, with figures in them, with marks that turn what follows or close what is open."""
ORDER = """<script>
addEventListener("load", () => {
  const turned = /[\\u0590-\\u08ff\\ufb1d-\\ufdff\\ufe70-\\ufefe]/;
  const silent = /[\\s\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]/;
  const blocks = new Set(), wrong = new Set();
  const texts = (top) => {
    const found = [], walker = document.createTreeWalker(top, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) found.push(walker.currentNode);
    return found.filter((text) => !text.parentElement.closest("script, style"));
  };
  for (const text of texts(document.body)) {
    if (!turned.test(text.data)) continue;
    let block = text.parentElement;
    while (getComputedStyle(block).display === "inline" && block.tagName !== "text") block = block.parentElement;
    blocks.add(block);
  }
  let letters = 0;
  for (const block of blocks) {
    const boxes = [];
    let apart = false;
    for (const text of texts(block)) for (let k = 0; k < text.data.length; k++) {
      const letter = text.data[k], range = document.createRange();
      apart = letter === "\\u2068" || (apart && letter !== "\\u2069");
      if (silent.test(letter)) continue;
      range.setStart(text, k);
      range.setEnd(text, k + 1);
      const box = range.getClientRects()[0];
      if (!box || !box.width) continue;
      letters += 1;
      const name = apart || turned.test(letter), last = boxes.at(-1);
      if (name && last && last.name && Math.abs(box.top - last.top) < box.height / 2) {
        last.left = Math.min(last.left, box.left);
        last.right = Math.max(last.right, box.right);
      } else boxes.push({name, top: box.top, height: box.height, left: box.left, right: box.right});
    }
    boxes.slice(1).forEach((box, k) => {
      const last = boxes[k];
      if (Math.abs(box.top - last.top) < box.height / 2 && box.left < last.right - 1) wrong.add(block.textContent);
    });
  }
  const said = document.createElement("pre");
  said.id = "order";
  said.textContent = JSON.stringify({blocks: blocks.size, letters, wrong: [...wrong]});
  document.body.append(said);
});
</script>"""
"""Measures in the page itself that all stands from left to right; a name that is set apart counts as one."""


def visual_order(page: str, folder: Path) -> dict[str, Any]:
    """Open a page without its policy, and say in how many blocks with such letters others are out of order."""
    page = re.sub(r"<meta http-equiv=.Content-Security-Policy.*?>", "", page)
    (folder / "report.html").write_text(page.replace("</body>", ORDER + "</body>"), encoding="utf-8")
    document = dump_dom(folder / "report.html", folder / "profile", "#rep=R1")
    said = re.search(r'<pre id="order">(.*?)</pre>', document, flags=re.DOTALL)
    assert said is not None
    found: dict[str, Any] = json.loads(html.unescape(said[1]))
    return found


def test_names_from_right_to_left_turn_no_figure_in_a_browser(tmp_path: Path) -> None:
    """Figures and words beside them stand where they are read; without what sets the names apart they would not."""
    problem = to.load_scenario(TOY).problem()
    names = [FROM_THE_RIGHT.get(a, n) for a, n in problem.accounts[["account_id", "name"]].values]
    reps = problem.reps.assign(
        name=["\u05de\u05e9\u05d4", "\u0645\u062d\u0645\u062f \u202e", *problem.reps["name"][2:]]
    )
    changed = dataclasses.replace(problem, accounts=problem.accounts.assign(name=names), reps=reps)
    views = build_views(to.solve(changed, time_limit=5), name="\u05d0\u05d1 2027", issues=ISSUES, run=RUN)
    page = render_page(views)
    found = visual_order(page, tmp_path)
    assert found["wrong"] == []
    assert found["blocks"] > 10
    assert found["letters"] > 300
    assert not re.search("[\u202a-\u202e]", page)
    turned = visual_order(re.sub("[\u2068\u2069]", "", page), tmp_path)["wrong"]
    assert "\u05d0\u05d1 2027" in turned


def test_many_accounts_are_sampled_and_the_page_says_so(views: Views) -> None:
    """Beyond the limit the page carries a sample and the total."""
    many = views.accounts.loc[np.resize(np.arange(12), MAX_DOTS + 5)].reset_index(drop=True)
    data = page_data(dataclasses.replace(views, accounts=many), rep_colours(np.zeros(4), np.zeros(4)))
    assert data["total"] == MAX_DOTS + 5
    assert {len(column) for column in data["accounts"].values()} == {MAX_DOTS}


def test_colours_and_base_map() -> None:
    """Forty reps get forty colours; only lines inside the view are taken."""
    place = np.random.default_rng(1).uniform(30, 45, (2, 40))
    assert len(set(rep_colours(*place))) == 40
    assert len(rep_colours(*np.resize(place, (2, 95)))) == 95
    whole = base_map(View(-180, -90, 180, 90))
    us = base_map(View(-125, 25, -66, 49))
    assert 0 < len(us["border"]) < len(whole["border"])
    assert base_map(View(-150.0, -40.0, -149.0, -39.0)) == {"coast": [], "border": []}
