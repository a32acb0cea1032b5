"An epoch's pictures must come as fast as the model can train on them."
import time

import albumentations as A

from data_scripts.experiments.bench import loading

# on a busy machine a median of .89 was seen, where a quiet one has .97
AT_LEAST = .7


def test_pictures_come_as_fast_as_they_are_learnt(capsys):
    measured = loading.throughput(12, device='cpu')
    ratio = measured['ratio']['one ready batch']
    real, ready = (1 / measured['median'][name] for name in ('real pictures', 'one ready batch'))
    with capsys.disabled():
        print(f"\n  input pipeline: {real:.0f} pictures/s with real pictures, {ready:.0f} with a ready batch; ratio {ratio:.3f} (median of 12 pairs)")
    assert ratio >= AT_LEAST

def test_slow_pictures_are_noticed(monkeypatch):
    def late(image, **_):
        time.sleep(.03)
        return image
    monkeypatch.setattr(loading, 'pipeline', lambda p: A.Compose([A.Lambda(image=late, p=1.)]))
    assert loading.throughput(3, device='cpu')['ratio']['one ready batch'] < AT_LEAST - .2
