"""A window of Qt (PySide6) that shows what is placed before the camera, and never waits for the model.

python examples/09_qt_window/main.py [BUNDLE [VISITS]]

A Station works in a thread of its own. Its events come to the window by a signal, which Qt delivers in the window's own thread. The camera is
drawn; with one of your own, give its URL to Station and leave `camera` out. Needs: pip install PySide6
"""

from __future__ import annotations

import sys
import threading
import time

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget

import edgevision as ev
from edgevision.demo.till_camera import FIRST_S, PERIOD_S, Visits
from edgevision.kiosk import Blocked, Placed, Recognised, Station, StationEvent, Unknown, Unsure

FRAME_S = 1 / 15


class Window(QWidget):
    """One line of text, and a button for each product that the shopper may mean."""

    told = Signal(object)  # an event, from the Station's thread
    ended = Signal()  # the camera is at its end

    def __init__(self) -> None:
        super().__init__()
        self.text = QLabel("Place a product", alignment=Qt.AlignmentFlag.AlignCenter)
        self.text.setStyleSheet("font-size: 32px")
        self.choices = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addLayout(self.choices)
        self.told.connect(self.show_event)

    def show_event(self, event: StationEvent) -> None:
        """In the window's thread."""
        self._clear_choices()
        match event:
            case Placed():
                self._say("One moment …")
            case Recognised(product=product):
                self._say(product.name)
            case Unsure(choices=choices):
                self._say("Which one is it?")
                for choice in choices:
                    button = QPushButton(choice.name)
                    button.setMinimumHeight(48)
                    button.clicked.connect(lambda _, name=choice.name: self._choose(name))
                    self.choices.addWidget(button)
            case Unknown():
                self._say("Please ask for help")
            case Blocked():
                self._say("The camera cannot see")
            case _:  # Removed, Unblocked
                self._say("Place a product")

    def _choose(self, name: str) -> None:
        self._clear_choices()
        self._say(name)

    def _say(self, text: str) -> None:
        self.text.setText(text)
        print(text, flush=True)

    def _clear_choices(self) -> None:
        while item := self.choices.takeAt(0):
            item.widget().deleteLater()


def camera(station: Station, visits: int, ended: threading.Event, when_ended: object) -> None:
    """Put frames as they come, in a thread of its own."""
    till, began_s = Visits(seed=1), time.monotonic()
    while (at_s := time.monotonic() - began_s) < FIRST_S + visits * PERIOD_S:
        station.put(till.frame(at_s))
        if ended.wait(FRAME_S):
            return
    when_ended()


def main(bundle: str = "runs/demo/model.edge", visits: str = "3") -> None:
    app = QApplication(sys.argv[:1])
    window, ended = Window(), threading.Event()
    window.ended.connect(app.quit)
    window.resize(800, 480)
    window.show()
    with ev.load(bundle) as model, Station(model, on_event=window.told.emit) as station:
        frames = threading.Thread(target=camera, args=(station, int(visits), ended, window.ended.emit))
        frames.start()
        app.exec()
        ended.set()  # the window was closed
        frames.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
