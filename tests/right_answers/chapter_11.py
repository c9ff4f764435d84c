"""Right answers to the exercises of chapter 11, written in other ways than the reference."""

import numpy as np
from torch.nn import functional

from course.lessons import content as lesson


def convolve_place_by_place(pictures, filters, step=1):
    size = filters.shape[-1]
    down = range(0, pictures.shape[2] - size + 1, step)
    across = range(0, pictures.shape[3] - size + 1, step)
    out = np.zeros((len(pictures), len(filters), len(down), len(across)))
    for b, picture in enumerate(pictures.numpy()):
        for f, one in enumerate(filters.numpy()):
            for r, row in enumerate(down):
                for c, column in enumerate(across):
                    part = picture[:, row : row + size, column : column + size]
                    out[b, f, r, c] = (part * one).sum()
    return out


def convolve_by_torch(pictures, filters, step=1):
    return functional.conv2d(pictures, filters, stride=step)


class ReaderByHand(lesson.Reader):
    def forward(self, words, pictures):
        there = (words != self.words.padding_idx).float()[:, :, None]
        title = (self.words.weight[words] * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)
        seen = self.look(pictures).flatten(2).max(dim=2).values
        weight, bias = self.both.weight, self.both.bias
        return (title @ weight[:, :48].T + seen @ weight[:, 48:].T + bias).clamp(min=0)


def blend_row_by_row(content, own, n, half=4):
    rows = []
    for guess, learned, count in zip(content, own, n, strict=True):
        share = half / (half + count)
        length = np.sqrt((learned**2).sum())
        row = share * guess / np.sqrt((guess**2).sum())
        rows.append(row + (1 - share) * learned / length if length else row)
    return np.array(rows, np.float32)


RIGHT = {
    "11-convolve": [convolve_place_by_place, convolve_by_torch],
    "11-reader": [ReaderByHand],
    "11-blend": [blend_row_by_row],
}
