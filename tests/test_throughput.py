"An epoch's pictures must come as fast as the model can train on them."
from data_scripts.experiments.bench.loading import throughput


def test_pictures_come_as_fast_as_they_are_learnt(capsys):
    measured = throughput(12, device='cpu')
    ratio = measured['ratio']['one ready batch']
    real, ready = (1 / measured['median'][name] for name in ('real pictures', 'one ready batch'))
    with capsys.disabled():
        print(f"\n  input pipeline: {real:.0f} pictures/s with real pictures, {ready:.0f} with a ready batch; ratio {ratio:.3f} (median of 12 pairs)")
    assert ratio >= .9
