"What all tests share."

def pytest_configure(config):
    config.addinivalue_line('markers', 'browser: needs Chromium; skipped where there is none, unless COURSE_REQUIRE_BROWSER=1')
