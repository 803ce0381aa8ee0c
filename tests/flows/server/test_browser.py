"""What a person does in the UI: opens the form of `curate`, fills it, sees the run complete.

Pictures of each page are left in build/screenshots.
"""

import json
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.conftest import REPOSITORY
from tests.helpers.running_stack import RunningStack, wait
from tests.talking_heads import Face, Shot, Speech, VideoFormat, render
from vexpress.flows.server.password import read_or_make

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="no Chromium (make browser)",
    ),
]
PICTURES = REPOSITORY / "build/screenshots"
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--window-size=1440,1000",
)


class Browser:
    """Chromium, and what a person sees in it."""

    def __init__(self, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for option in (*OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        service = Service(str(shutil.which("chromedriver")))
        self.driver = webdriver.Chrome(options=options, service=service)

    def login(self, url: str, password: str) -> None:
        """Give the password that the UI asks for once."""
        self.driver.get(f"{url}/login")
        password_field = "input[type=password]"
        wait(lambda: self.driver.find_elements(By.CSS_SELECTOR, password_field), "the login")
        field = self.driver.find_element(By.CSS_SELECTOR, password_field)
        field.send_keys(password, Keys.ENTER)
        wait(lambda: "/login" not in self.driver.current_url, "the page behind the login")

    def sees(self, text: str) -> bool:
        """Wait until the page shows a text."""
        return bool(wait(lambda: text in self.text(), f"{text!r} on the page"))

    def text(self) -> str:
        """What can be read on the page."""
        return str(self.driver.execute_script("return document.body.innerText"))

    def click(self, text: str) -> None:
        """Click on what has a text."""
        path = f"//*[self::a or self::button or self::li][normalize-space()='{text}']"
        wait(lambda: self.driver.find_elements(By.XPATH, path), f"{text!r} to click on")
        element = self.driver.find_elements(By.XPATH, path)[0]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def fill(self, now: str, then: str) -> None:
        """Put other text into the field that has a text."""
        fields = "return [...document.querySelectorAll('input, textarea')]"
        has = f"{fields}.filter(f => f.value === arguments[0])"
        (field, *_) = wait(lambda: self.driver.execute_script(has, now), f"a field with {now!r}")
        field.send_keys(Keys.CONTROL + "a")
        field.send_keys(then)

    def submit(self) -> bool:
        """Press the form's button; return whether the server took it.

        It says 503, which the UI does not try again, where its SQLite was busy with another write.
        """
        form = self.driver.current_url
        self.click("Submit")
        busy = "Something went wrong trying to create a flow run"
        wait(lambda: self.driver.current_url != form or busy in self.text(), "an answer")
        return bool(self.driver.current_url != form)

    def picture(self, name: str) -> Path:
        """Keep a picture of the page."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        time.sleep(0.5)  # animations end
        self.driver.save_screenshot(PICTURES / f"{name}.png")
        return PICTURES / f"{name}.png"

    def asked(self) -> set[str]:
        """Addresses that pages asked anything of, but for this machine's."""
        found: set[str] = set()
        for line in self.driver.get_log("performance"):
            message: dict[str, Any] = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.add(message["params"]["request"]["url"])
        web = {url for url in found if url.startswith(("http", "ws"))}
        return {url for url in web if "//127.0.0.1:" not in url}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.driver.quit()


@pytest.fixture(scope="module")
def server(stack: RunningStack) -> RunningStack:
    """The stack over one video."""
    films = stack.data / "films"
    films.mkdir()
    say = (Speech(start_s=0.1, text="Put videos into a folder, open the form, and start a run."),)
    shots = [Shot(duration_s=4.0, faces=(Face(width_px=250),), speech=say), Shot(duration_s=0.6)]
    render(shots, films / "first.mp4", VideoFormat(width=854, height=480))
    (films / "broken.mp4").write_bytes(b"no video at all")
    return stack


def test_from_nothing_to_a_finished_run_in_the_browser(
    server: RunningStack, browser: Browser
) -> None:
    began = time.monotonic()
    said = server.up()
    assert f"{server.url}/deployments" in said
    assert str(server.state / "password") in said
    browser.login(server.url, read_or_make(server.state))
    started = time.monotonic() - began

    browser.driver.get(f"{server.url}/deployments")
    browser.sees("curate")
    browser.picture("1-deployments")
    with server.client() as client:
        deployment = client.read_deployment_by_name("curate/curate").id
    form = f"{server.url}/deployments/deployment/{deployment}/run"
    assert any(filled_in(browser, form) for _ in range(5)), browser.text()

    (run,) = wait(lambda: runs_into(server, "made"), "the run")
    server.complete(run.id)
    browser.driver.get(f"{server.url}/runs/flow-run/{run.id}")
    browser.sees("Completed")
    ended = time.monotonic() - began
    print(f"vexpress up {started:.0f} s; up, form and finished run {ended:.0f} s")
    assert run.parameters["source"] == "films"
    assert run.parameters["config"]["keep"]["min_face_side_px"] == 120
    assert (server.data / "made/report.html").is_file()
    browser.sees("batch 1 of 1")
    browser.picture("3-run")


def runs_into(server: RunningStack, dataset: str) -> list[FlowRun]:
    """Runs of the deployment `curate` that write a data set."""
    return [r for r in server.runs_of("curate") if r.parameters["dataset"] == dataset]


def filled_in(browser: Browser, form: str) -> bool:
    """Open the form, fill it, submit it; return whether the server took it."""
    browser.driver.get(form)
    browser.sees("File, folder (with all below it), glob")
    browser.sees("Min face side (px)")
    browser.fill("videos", "films")
    browser.fill("dataset", "made")
    browser.fill("200", "120")  # keep.min_face_side_px
    browser.picture("2-form")
    return browser.submit()


def test_its_artifacts_read_well(server: RunningStack, browser: Browser) -> None:
    (run,) = runs_into(server, "made")
    browser.driver.get(f"{server.url}/runs/flow-run/{run.id}")
    browser.click("Artifacts")
    browser.sees("funnel")
    browser.picture("4-artifacts")
    artifacts = server.artifacts(run.id)
    for number, (key, text) in enumerate(
        (
            ("summary", "were kept in"),
            ("funnel", "The file cannot be opened as a video."),
            ("sheet-kept", "Contact sheet kept"),
        ),
        5,
    ):
        browser.driver.get(f"{server.url}/artifacts/artifact/{artifacts[key].id}")
        browser.sees(text)
        browser.picture(f"{number}-{key}")
    sizes = "return [...document.images].map(i => i.naturalWidth)"
    assert max(browser.driver.execute_script(sizes)) > 500, "the contact sheet is shown"


def test_pages_ask_nothing_of_other_machines(server: RunningStack, browser: Browser) -> None:
    for page in ("dashboard", "runs", "work-pools", "automations"):
        browser.driver.get(f"{server.url}/{page}")
        time.sleep(1)
    browser.sees("crash runs that fell silent")
    assert browser.asked() == set()


ATTACK = """
<title>waiting</title>
<script>
const api = "SERVER/api", run = `${api}/deployments/DEPLOYMENT/create_flow_run`
const body = JSON.stringify({job_variables: {command: "touch PROOF"}})
const json = {"content-type": "application/json"}
const tries = {
  read: () => fetch(`${api}/deployments/filter`, {method: "POST", headers: json, body: "{}"}),
  start: () => fetch(run, {method: "POST", headers: json, body}),
  simple: () => fetch(run, {method: "POST", mode: "no-cors", body}).then(r => r.text()),
  form: () => fetch(run, {method: "POST", mode: "no-cors", body: new URLSearchParams({body})})
    .then(r => r.text()),
  cookie: () => fetch(run, {method: "POST", credentials: "include", headers: json, body}),
}
const told = {}
for (const [name, attempt] of Object.entries(tries))
  told[name] = attempt().then(r => r.status === undefined ? r : String(r.status), e => "refused")
const all = Object.entries(told).map(async ([name, answer]) => [name, await answer])
Promise.all(all).then(found => { document.title = JSON.stringify(Object.fromEntries(found)) })
</script>
"""


class Elsewhere(SimpleHTTPRequestHandler):
    """Serves one page, without a word."""

    page = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(self.page.encode())

    def log_message(self, *_: object) -> None:
        pass


def test_a_page_of_somebody_else_in_the_same_browser_reaches_nothing(
    server: RunningStack, browser: Browser, tmp_path: Path
) -> None:
    with server.client() as client:
        deployment = client.read_deployment_by_name("report/report").id
    before, proof = len(server.runs_of("report")), tmp_path / "proof"
    page = ATTACK.replace("SERVER", server.url).replace("DEPLOYMENT", str(deployment))
    Elsewhere.page = page.replace("PROOF", str(proof))
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        browser.driver.get(f"http://127.0.0.1:{other.server_port}/")
        wait(lambda: browser.driver.title != "waiting", "the attack's end")
        found = json.loads(browser.driver.title)
        other.shutdown()
    refused = {"read": "refused", "start": "refused", "cookie": "refused"}
    assert found == {**refused, "simple": "", "form": ""}, "an opaque answer tells nothing"
    assert len(server.runs_of("report")) == before
    assert not proof.exists()


def test_the_server_answers_under_its_own_names_and_with_its_password_alone(
    server: RunningStack,
) -> None:
    health = f"{server.url}/api/health"
    assert httpx.get(health).status_code == 200
    assert httpx.get(health, headers={"host": f"rebound.example:{server.port}"}).status_code == 400
    listed = f"{server.url}/api/deployments/filter"
    assert httpx.post(listed, json={}).status_code == 401
    password = read_or_make(server.state)
    asked = httpx.BasicAuth(*password.split(":", 1))
    assert httpx.post(listed, json={}, auth=asked).status_code == 200
    with server.client() as client:
        deployment = client.read_deployment_by_name("report/report").id
    start = f"{server.url}/api/deployments/{deployment}/create_flow_run"
    for variables in ({"command": "id"}, {"env": {"LD_PRELOAD": "x"}}, {"env.LD_PRELOAD": "x"}):
        answer = httpx.post(start, json={"job_variables": variables}, auth=asked)
        assert answer.status_code == 422 and "Additional properties" in answer.text
    assert stat.S_IMODE((server.state / "password").stat().st_mode) == 0o600
