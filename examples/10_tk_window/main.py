"""A window of Tk, which comes with Python, that shows what is placed before the camera, and never waits for the model.

python examples/10_tk_window/main.py [BUNDLE [VISITS]]

Tk may be used from one thread alone. So the window asks the Station for its events twenty times a second; `poll` never waits. The camera is
drawn; with one of your own, give its URL to Station and leave `camera` out.
"""

from __future__ import annotations

import sys
import threading
import time
import tkinter as tk

import edgevision as ev
from edgevision.demo.till_camera import FIRST_S, PERIOD_S, Visits
from edgevision.kiosk import Blocked, Placed, Recognised, Station, StationEvent, Unknown, Unsure

POLL_MS = 50
FRAME_S = 1 / 15


class Window:
    """One line of text, and a button for each product that the shopper may mean."""

    def __init__(self, root: tk.Tk, station: Station) -> None:
        self.root, self.station = root, station
        self.text = tk.Label(root, text="Place a product", font=("", 32))
        self.text.pack(expand=True)
        self.choices = tk.Frame(root)
        self.choices.pack(fill="x")
        self._poll()

    def _poll(self) -> None:
        for event in self.station.poll():
            self._show_event(event)
        self.root.after(POLL_MS, self._poll)

    def _show_event(self, event: StationEvent) -> None:
        self._clear_choices()
        match event:
            case Placed():
                self._say("One moment …")
            case Recognised(product=product):
                self._say(product.name)
            case Unsure(choices=choices):
                self._say("Which one is it?")
                for choice in choices:
                    button = tk.Button(
                        self.choices, text=choice.name, command=lambda name=choice.name: self._choose(name)
                    )
                    button.pack(fill="x", ipady=12)
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
        self.text.config(text=text)
        print(text, flush=True)

    def _clear_choices(self) -> None:
        for button in self.choices.winfo_children():
            button.destroy()


def camera(station: Station, visits: int, ended: threading.Event) -> None:
    """Put frames as they come, in a thread of its own."""
    till, began_s = Visits(seed=1), time.monotonic()
    while (at_s := time.monotonic() - began_s) < FIRST_S + visits * PERIOD_S:
        station.put(till.frame(at_s))
        if ended.wait(FRAME_S):
            return
    ended.set()


def main(bundle: str = "runs/demo/model.edge", visits: str = "3") -> None:
    root, ended = tk.Tk(), threading.Event()
    root.geometry("800x480")
    with ev.load(bundle) as model, Station(model) as station:
        Window(root, station)
        frames = threading.Thread(target=camera, args=(station, int(visits), ended))
        frames.start()

        def leave_with_the_camera() -> None:
            if ended.is_set():
                root.destroy()
            else:
                root.after(POLL_MS, leave_with_the_camera)

        leave_with_the_camera()
        root.mainloop()
        ended.set()  # the window was closed
        frames.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
