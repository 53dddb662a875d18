"""When a name is to be looked after, as lines that a machine runs."""

from datetime import UTC, datetime

import pytest

from fettle.core.errors import SettingError
from fettle.stages.scheduling import crontab, systemd, timetable

PUBLISHED, TODAY = datetime(2026, 8, 31, 14, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)


def due(**months):
    found = timetable("m", published=PUBLISHED, today=TODAY, **months)
    return {one.what: one.due for one in found}


def test_each_review_comes_a_multiple_of_its_months_after_the_version():
    assert due() == {"watch": "2026-11-21", "evaluation": "2026-11-28",
                     "data review": "2026-11-28", "retraining": "2027-02-28"}
    assert due(data=4, retraining=12)["data review"] == "2026-12-28"
    assert due(data=4, retraining=12)["retraining"] == "2027-08-28"
    with pytest.raises(SettingError, match="--data-review is 5"):
        due(data=5)


def test_a_crontab_runs_on_the_days_of_the_timetable_by_the_program_s_whole_path():
    reviews = timetable("m", published=PUBLISHED, today=TODAY, registry="/a/100%/.fettle")
    lines = crontab(reviews, folder="/my models", program="/opt/env/bin/fettle").splitlines()
    assert lines[1:] == [
        r"0 6 * * * cd '/my models' && /opt/env/bin/fettle watch m --journal --fail-on warn "
        r"--registry /a/100\%/.fettle  # watch",
        r"0 6 28 1,2,3,4,5,6,7,8,9,10,11,12 * cd '/my models' && /opt/env/bin/fettle label suggest "
        r"m --journal --count 100 --registry /a/100\%/.fettle  # evaluation",
        r"0 6 28 2,5,8,11 * cd '/my models' && /opt/env/bin/fettle watch m --journal --html "
        r"review.html --registry /a/100\%/.fettle  # data review",
        r"# 0 6 28 2,8 * cd '/my models' && /opt/env/bin/fettle retrain m reviewed.csv "
        r"--registry /a/100\%/.fettle  # retraining",
    ]


def test_timers_run_on_the_same_days_and_nobody_retrains_by_itself():
    reviews = timetable("m", published=PUBLISHED, today=TODAY, registry="/a $b/.fettle")
    units = systemd(reviews, "m", folder="/my models", program="/opt/my env/fettle")
    assert set(units) == {f"fettle-m-{what}.{kind}" for what in
                          ("watch", "evaluation", "data-review") for kind in ("service", "timer")}
    assert "OnCalendar=*-*-* 06:00\n" in units["fettle-m-watch.timer"]
    assert "OnCalendar=*-02,05,08,11-28 06:00\n" in units["fettle-m-data-review.timer"]
    service = units["fettle-m-watch.service"]
    assert "WorkingDirectory=/my models\n" in service
    assert ("ExecStart=/usr/bin/env '/opt/my env/fettle' watch m --journal --fail-on warn "
            "--registry '/a $$b/.fettle'\n") in service
