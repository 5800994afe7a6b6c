"""What binding costs, measured in pairs with what the stock executor, or a bare loop, costs in the same run.

    make benchmark

No test asserts a duration: the limits are checked here alone.
"""
