"""What ends the launcher with one line on stderr and a status."""


class Fatal(Exception):
    def __init__(self, text, status=125):
        super().__init__(text)
        self.status = status
